"""The scheduler once more, token by token and request by request: slow, and plain enough to be read as the rule."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Request:
    number: int
    arrival: float
    isl: int
    osl: int
    cached: int
    priority: int
    computed: int = 0
    blocks: int = 0
    times: list[float] = field(default_factory=list)
    preempted: int = 0
    decoding: bool = False

    @property
    def known(self) -> int:
        """Tokens there are: the prompt and what came out."""
        return self.isl + len(self.times)


def serve(requests: list[Request], law, limits, concurrency: int | None = None) -> list[Request]:
    """Serve all; with a concurrency, arrivals follow ends."""
    free = limits.kv_cache_tokens // limits.block_size
    size, now = limits.block_size, 0.0
    coming = sorted(requests, key=lambda request: (request.arrival, request.number))
    waiting, running = [], []
    if concurrency:
        for request in coming[:concurrency]:
            request.arrival = 0.0
        waiting, coming = coming[:concurrency], coming[concurrency:]

    def order(request: Request) -> tuple[int, int]:
        return (request.priority, request.number)

    def missing(request: Request, tokens: int) -> int:
        return max(-(-(request.computed + tokens) // size) - request.blocks, 0)

    while coming or waiting or running:
        if not concurrency:
            if not (waiting or running):
                now = max(now, coming[0].arrival)
            while coming and coming[0].arrival <= now:
                waiting.append(coming.pop(0))
        if limits.scheduling_policy == "priority":
            waiting.sort(key=order)
        budget, scheduled, preempted = limits.max_num_batched_tokens, {}, False
        position = 0
        while position < len(running):
            request = running[position]
            tokens = min(request.known - request.computed, budget)
            while missing(request, tokens) > free:
                victim = max(running, key=order) if limits.scheduling_policy == "priority" else running[-1]
                if running.index(victim) < position:
                    position -= 1
                running.remove(victim)
                budget += scheduled.pop(victim.number, 0)
                free += victim.blocks
                victim.blocks = victim.computed = 0
                victim.preempted += 1
                victim.decoding = False
                waiting.insert(0, victim)
                preempted = True
                if victim is request:
                    break
            if request not in running:
                continue
            new = missing(request, tokens)
            request.blocks += new
            free -= new
            scheduled[request.number] = tokens
            budget -= tokens
            position += 1
        if limits.scheduling_policy == "priority":
            waiting.sort(key=order)
        while waiting and budget > 0 and not preempted and len(running) < limits.max_num_seqs:
            request = waiting[0]
            request.computed = request.cached if not request.times else 0
            rest = request.known - request.computed
            tokens = min(rest, budget)
            if tokens < rest and not limits.enable_chunked_prefill:
                break
            if missing(request, rest if limits.reserve_prompt else tokens) > free:
                break
            new = missing(request, tokens)
            request.blocks += new
            free -= new
            running.append(waiting.pop(0))
            scheduled[request.number] = tokens
            budget -= tokens
        decoding = [request for request in running if request.decoding]
        prompt = sum(scheduled.get(request.number, 0) for request in running if not request.decoding)
        context = sum(r.known for r in decoding) / len(decoding) if decoding else 0.0
        now += law.step(len(decoding), 1, context, prompt)
        for request in list(running):
            request.computed += scheduled.get(request.number, 0)
            if request.computed == request.known:
                request.times.append(now)
                request.decoding = True
                if len(request.times) == request.osl:
                    running.remove(request)
                    free += request.blocks
                    if concurrency and coming:
                        coming[0].arrival = now
                        waiting.append(coming.pop(0))
    return requests
