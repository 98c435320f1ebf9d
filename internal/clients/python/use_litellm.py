"""litellm as a client: completion and acompletion, of OpenAI's and of Anthropic's models. It
takes no headers from the environment."""

import asyncio
import os

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else it asks the Internet for prices

import litellm
from job import Answer, Job
from use_openai import Chunks, chat_params, of_completion

litellm.suppress_debug_info = True  # which goes to standard output


def params_of(job: Job, provider: str) -> dict:
    params = chat_params(job) | job.options
    params["model"] = f"{provider}/{job.model}"
    params["extra_headers"] = job.key_header | job.auto_header
    params["stream"] = job.streams
    return params


class Pieces(Chunks):
    """litellm leaves members out that openai sets to None."""

    def add(self, chunk) -> None:
        chunk.usage = getattr(chunk, "usage", None)
        super().add(chunk)


def completion(job: Job, provider: str) -> Answer:
    response = litellm.completion(**params_of(job, provider))
    if not job.streams:
        return of_completion(job, response)
    answer = Pieces(job)
    for chunk in response:
        answer.add(chunk)
    return answer


async def acompletion(job: Job, provider: str) -> Answer:
    response = await litellm.acompletion(**params_of(job, provider))
    if not job.streams:
        return of_completion(job, response)
    answer = Pieces(job)
    async for chunk in response:
        answer.add(chunk)
    return answer


CLIENTS = {
    "litellm/openai": lambda job: completion(job, "openai"),
    "litellm/openai.async": lambda job: asyncio.run(acompletion(job, "openai")),
    "litellm/anthropic": lambda job: completion(job, "anthropic"),
    "litellm/anthropic.async": lambda job: asyncio.run(acompletion(job, "anthropic")),
}
