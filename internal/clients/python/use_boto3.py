"""boto3: Bedrock's Converse and InvokeModel. It reads no headers from the environment: they are added to
its requests, behind its signature."""

import json

import boto3
from botocore.config import Config
from job import WEATHER, Answer, Job


def client_of(job: Job):
    options = {}
    if job.timeout_ms:
        options["read_timeout"] = job.timeout_ms / 1000
    if job.max_retries is not None:
        options["retries"] = {"total_max_attempts": 1 + job.max_retries, "mode": "standard"}
    client = boto3.client("bedrock-runtime", config=Config(**options))

    def add_headers(request, **_):
        for name, value in {**job.key_header, **job.auto_header}.items():
            request.headers[name] = value

    client.meta.events.register("before-send.bedrock-runtime.*", add_headers)
    return client


def of_converse(job: Job) -> Answer:
    params = {"modelId": job.model, "messages": [{"role": "user", "content": [{"text": job.prompt}]}]}
    if job.tools:
        spec = {"name": WEATHER["name"], "description": WEATHER["description"]}
        params["toolConfig"] = {"tools": [{"toolSpec": {**spec, "inputSchema": {"json": WEATHER["parameters"]}}}]}
    answer, client = Answer(job), client_of(job)
    if job.streams:
        read_converse(answer, client.converse_stream(**params)["stream"])
        return answer
    response = client.converse(**params)
    for block in response["output"]["message"]["content"]:
        answer.text += block.get("text", "")
        if "toolUse" in block:
            answer.tool(block["toolUse"]["name"], block["toolUse"]["input"])
    answer.finish = response["stopReason"]
    answer.complete = answer.finish != ""
    converse_usage(answer, response["usage"])
    return answer


def read_converse(answer: Answer, stream) -> None:
    tools = {}
    for event in stream:
        if start := event.get("contentBlockStart"):
            tools[start["contentBlockIndex"]] = [start["start"]["toolUse"]["name"], ""]
        elif part := event.get("contentBlockDelta"):
            if "toolUse" in part["delta"]:
                tools[part["contentBlockIndex"]][1] += part["delta"]["toolUse"]["input"]
            text = part["delta"].get("text", "")
            answer.text += text
            answer.piece(text)
        elif stop := event.get("messageStop"):
            answer.finish, answer.complete = stop["stopReason"], True
        elif metadata := event.get("metadata"):
            converse_usage(answer, metadata["usage"])
    for name, arguments in tools.values():
        answer.tool(name, arguments)


def converse_usage(answer: Answer, usage: dict) -> None:
    cached = usage.get("cacheReadInputTokens", 0) + usage.get("cacheWriteInputTokens", 0)
    answer.usage(usage["inputTokens"] + cached, usage["outputTokens"])


def of_invoke(job: Job) -> Answer:
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 4096, "messages": job.messages()}
    if job.tools:
        spec = {"name": WEATHER["name"], "description": WEATHER["description"]}
        body["tools"] = [{**spec, "input_schema": WEATHER["parameters"]}]
    params = {"modelId": job.model, "body": json.dumps(body), "contentType": "application/json"}
    answer, client = Answer(job), client_of(job)
    if job.streams:
        read_invoke(answer, client.invoke_model_with_response_stream(**params)["body"])
        return answer
    message = json.loads(client.invoke_model(**params)["body"].read())
    for block in message["content"]:
        answer.text += block.get("text", "")
        if block["type"] == "tool_use":
            answer.tool(block["name"], block["input"])
    answer.finish = message["stop_reason"] or ""
    answer.complete = answer.finish != ""
    invoke_usage(answer, message["usage"])
    return answer


def read_invoke(answer: Answer, stream) -> None:
    tools = {}
    for chunk in stream:
        event = json.loads(chunk["chunk"]["bytes"])
        match event["type"]:
            case "content_block_start" if event["content_block"]["type"] == "tool_use":
                tools[event["index"]] = [event["content_block"]["name"], ""]
            case "content_block_delta":
                if event["delta"]["type"] == "input_json_delta":
                    tools[event["index"]][1] += event["delta"]["partial_json"]
                text = event["delta"].get("text", "")
                answer.text += text
                answer.piece(text)
            case "message_delta":
                answer.finish = event["delta"]["stop_reason"] or ""
                invoke_usage(answer, event["usage"])
            case "message_stop":
                answer.complete = True
    for name, arguments in tools.values():
        answer.tool(name, arguments)


def invoke_usage(answer: Answer, usage: dict) -> None:
    cached = usage.get("cache_read_input_tokens", 0) + usage.get("cache_creation_input_tokens", 0)
    answer.usage(usage.get("input_tokens", 0) + cached, usage["output_tokens"])


CLIENTS = {
    "boto3/converse": of_converse,
    "boto3/invoke_model": of_invoke,
}
