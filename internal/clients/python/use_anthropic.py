"""anthropic: messages, by create and by the helper for streams. It takes Recoup-Resume
from ANTHROPIC_CUSTOM_HEADERS."""

import asyncio

import anthropic
from job import WEATHER, Answer, Job


def params_of(job: Job) -> dict:
    params = {"model": job.model, "max_tokens": 4096, "messages": job.messages(), "extra_headers": job.key_header}
    if job.tools:
        params["tools"] = [
            {"name": WEATHER["name"], "description": WEATHER["description"], "input_schema": WEATHER["parameters"]}
        ]
    return params


def of_message(job: Job, message) -> Answer:
    answer = Answer(job, finish=message.stop_reason or "")
    answer.usage(message.usage.input_tokens, message.usage.output_tokens)
    for block in message.content:
        if block.type == "text":
            answer.text += block.text
        elif block.type == "tool_use":
            answer.tool(block.name, block.input)
    answer.complete = answer.finish != ""
    return answer


def messages_create(job: Job) -> Answer:
    client = anthropic.Anthropic(**job.options)
    if not job.streams:
        return of_message(job, client.messages.create(**params_of(job)))
    answer, tools = Answer(job), {}
    with client.messages.create(**params_of(job), stream=True) as stream:
        for event in stream:
            match event.type:
                case "message_start":
                    answer.usage(event.message.usage.input_tokens, event.message.usage.output_tokens)
                case "content_block_start" if event.content_block.type == "tool_use":
                    tools[event.index] = [event.content_block.name, ""]
                case "content_block_delta" if event.delta.type == "input_json_delta":
                    tools[event.index][1] += event.delta.partial_json
                case "content_block_delta" if event.delta.type == "text_delta":
                    answer.text += event.delta.text
                    answer.piece(event.delta.text)
                case "message_delta":
                    answer.finish = event.delta.stop_reason or ""
                    answer.usage(answer.input, event.usage.output_tokens)
                case "message_stop":
                    answer.complete = True
    for name, arguments in tools.values():
        answer.tool(name, arguments)
    return answer


def messages_stream(job: Job) -> Answer:
    seen = Answer(job)
    with anthropic.Anthropic(**job.options).messages.stream(**params_of(job)) as stream:
        for text in stream.text_stream:
            seen.piece(text)
        return of_message(job, stream.get_final_message())


async def messages_stream_async(job: Job) -> Answer:
    seen = Answer(job)
    async with anthropic.AsyncAnthropic(**job.options).messages.stream(**params_of(job)) as stream:
        async for text in stream.text_stream:
            seen.piece(text)
        return of_message(job, await stream.get_final_message())


CLIENTS = {
    "anthropic-python/messages.create": messages_create,
    "anthropic-python/messages.stream": messages_stream,
    "anthropic-python/messages.stream.async": lambda job: asyncio.run(messages_stream_async(job)),
}
