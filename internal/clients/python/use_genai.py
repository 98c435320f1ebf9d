"""google-genai: generate_content and generate_content_stream. It takes no headers from the
environment, and retries nothing unless it is told to."""

import asyncio

from google import genai
from google.genai import types
from job import WEATHER, Answer, Job


def client_of(job: Job) -> genai.Client:
    options = types.HttpOptions(headers=job.auto_header)
    if job.timeout_ms:
        options.timeout = job.timeout_ms
    if job.max_retries is not None:
        options.retry_options = types.HttpRetryOptions(attempts=job.max_retries + 1)
    return genai.Client(http_options=options)


def params_of(job: Job) -> dict:
    config = types.GenerateContentConfig(http_options=types.HttpOptions(headers=job.key_header))
    if job.tools:
        weather = types.FunctionDeclaration(
            name=WEATHER["name"],
            description=WEATHER["description"],
            parameters_json_schema=WEATHER["parameters"],
        )
        config.tools = [types.Tool(function_declarations=[weather])]
    return {"model": job.model, "contents": job.prompt, "config": config}


def add(answer: Answer, response) -> str:
    """Takes in a response, or a part of one, and returns its text."""
    text = ""
    for candidate in (response.candidates or [])[:1]:
        for part in (candidate.content and candidate.content.parts) or []:
            if part.text and not part.thought:
                text += part.text
            if part.function_call:
                answer.tool(part.function_call.name, part.function_call.args)
        if candidate.finish_reason:
            answer.finish, answer.complete = candidate.finish_reason.value, True
    if usage := response.usage_metadata:
        output = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
        answer.usage(usage.prompt_token_count, output)
    answer.text += text
    return text


def generate(job: Job) -> Answer:
    client, answer = client_of(job), Answer(job)
    if not job.streams:
        add(answer, client.models.generate_content(**params_of(job)))
        return answer
    for part in client.models.generate_content_stream(**params_of(job)):
        answer.piece(add(answer, part))
    return answer


async def generate_async(job: Job) -> Answer:
    client, answer = client_of(job), Answer(job)
    if not job.streams:
        add(answer, await client.aio.models.generate_content(**params_of(job)))
        return answer
    async for part in await client.aio.models.generate_content_stream(**params_of(job)):
        answer.piece(add(answer, part))
    return answer


CLIENTS = {
    "genai-python/generate_content": generate,
    "genai-python/generate_content.async": lambda job: asyncio.run(generate_async(job)),
}
