"""openai: chat completions and responses, by create and by the helpers for streams.
It takes Recoup-Resume from OPENAI_CUSTOM_HEADERS."""

import asyncio

import openai
from job import WEATHER, Answer, Job


def chat_params(job: Job) -> dict:
    params = {"model": job.model, "messages": job.messages(), "extra_headers": job.key_header}
    if job.tools:
        params["tools"] = [{"type": "function", "function": WEATHER}]
    if job.streams:
        params["stream_options"] = {"include_usage": True}
    return params


class Chunks(Answer):
    """An answer that is put together of chunks."""

    def add(self, chunk) -> None:
        if chunk.usage:
            self.usage(chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
        for choice in chunk.choices:
            for call in choice.delta.tool_calls or []:
                if call.index == len(self.tools):
                    self.tool("", "")
                tool = self.tools[call.index]
                tool["name"] += call.function.name or ""
                tool["arguments"] += call.function.arguments or ""
            if choice.finish_reason:
                self.finish, self.complete = choice.finish_reason, True
            self.text += choice.delta.content or ""
            self.piece(choice.delta.content)


def of_completion(job: Job, completion) -> Answer:
    choice = completion.choices[0]
    answer = Answer(job, text=choice.message.content or "", finish=choice.finish_reason or "")
    if completion.usage:
        answer.usage(completion.usage.prompt_tokens, completion.usage.completion_tokens)
    for call in choice.message.tool_calls or []:
        answer.tool(call.function.name, call.function.arguments)
    answer.complete = answer.finish != ""
    return answer


def chat_create(job: Job) -> Answer:
    client = openai.OpenAI(**job.options)
    if not job.streams:
        return of_completion(job, client.chat.completions.create(**chat_params(job)))
    answer = Chunks(job)
    with client.chat.completions.create(**chat_params(job), stream=True) as stream:
        for chunk in stream:
            answer.add(chunk)
    return answer


async def chat_create_async(job: Job) -> Answer:
    client = openai.AsyncOpenAI(**job.options)
    if not job.streams:
        return of_completion(job, await client.chat.completions.create(**chat_params(job)))
    answer = Chunks(job)
    async with await client.chat.completions.create(**chat_params(job), stream=True) as stream:
        async for chunk in stream:
            answer.add(chunk)
    return answer


def chat_stream(job: Job) -> Answer:
    seen = Answer(job)
    with openai.OpenAI(**job.options).chat.completions.stream(**chat_params(job)) as stream:
        for event in stream:
            if event.type == "content.delta":
                seen.piece(event.delta)
        return of_completion(job, stream.get_final_completion())


def response_params(job: Job) -> dict:
    params = {"model": job.model, "input": job.prompt, "extra_headers": job.key_header}
    if job.tools:
        params["tools"] = [{"type": "function", "strict": True} | WEATHER]
    return params


def of_response(job: Job, response) -> Answer:
    answer = Answer(job, text=response.output_text, finish=response.status or "")
    if response.usage:
        answer.usage(response.usage.input_tokens, response.usage.output_tokens)
    for item in response.output:
        if item.type == "function_call":
            answer.tool(item.name, item.arguments)
    answer.complete = answer.finish in ("completed", "incomplete")
    return answer


def responses_create(job: Job) -> Answer:
    client = openai.OpenAI(**job.options)
    if not job.streams:
        return of_response(job, client.responses.create(**response_params(job)))
    answer, last = Answer(job), None
    with client.responses.create(**response_params(job), stream=True) as stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                answer.text += event.delta
                answer.piece(event.delta)
            elif event.type in ("response.completed", "response.incomplete", "response.failed"):
                last = event.response
    return of_response(job, last) if last else answer


def responses_stream(job: Job) -> Answer:
    seen = Answer(job)
    with openai.OpenAI(**job.options).responses.stream(**response_params(job)) as stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                seen.piece(event.delta)
        return of_response(job, stream.get_final_response())


CLIENTS = {
    "openai-python/chat.create": chat_create,
    "openai-python/chat.create.async": lambda job: asyncio.run(chat_create_async(job)),
    "openai-python/chat.stream": chat_stream,
    "openai-python/responses.create": responses_create,
    "openai-python/responses.stream": responses_stream,
}
