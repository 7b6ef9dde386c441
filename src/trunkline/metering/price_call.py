"""What usage costs, and the most that it can cost: one formula, in whole numbers, rounded once."""

from __future__ import annotations

from trunkline.clock import NANOS_PER_SECOND
from trunkline.estate.unit_prices import MediaPrice, UnitPrice
from trunkline.messages import Media, Usage
from trunkline.money import Nano, hold_picos, settle_picos


def cost(usage: Usage, price: UnitPrice, at: int = 0) -> Nano:
    """Return what the usage costs, in billionths of the estate's currency; rounded once, half up.

    Where long prompts or some hours have prices of their own, those of the prompt's tokens and of `at`, in nanoseconds
    since 1970, hold for all of the call.

    Tokens read from and written to the provider's cache are part of the input and have prices of their own. Reasoning
    is part of the output; sound and pictures cost what they do where both the price and the upstream tell them apart.
    Never negative: counts below zero are taken as zero, and where an upstream reports more
    cached tokens than input, the cached ones are booked in full and no others.
    """
    if price.variants:
        price = rates(price, usage.input, at)
    cached, cache_write = max(usage.cached, 0), max(usage.cache_write, 0)
    plain = max(usage.input - cached - cache_write, 0)
    long = min(max(usage.cache_write_long, 0), cache_write)
    sum_of_text = (
        plain * price.input
        + cached * price.cache_read
        + (cache_write - long) * price.cache_write
        + long * max(price.cache_write_long, price.cache_write)
        + max(usage.output, 0) * price.output
    )
    if usage.media is None or price.media is None:
        return settle_picos(sum_of_text)
    counts = (plain, min(cached, max(usage.input, 0)), max(usage.output, 0))
    return settle_picos(sum_of_text + _beside_text(usage.media, price, price.media, counts))


def _beside_text(media: Media, price: UnitPrice, of: MediaPrice, counts: tuple[int, int, int]) -> int:
    """How much more, or less, sound and pictures cost than as many tokens of text, of which they were counted.

    `counts` are the plain input, the cached and the output: no kind has more of it than is left by the one before.
    """
    plain, cached, output = counts
    cached_audio = min(max(media.cached_audio, 0), cached)
    cached_image = min(max(media.cached_image, 0), cached - cached_audio)
    audio = min(max(media.input_audio - cached_audio, 0), plain)
    image = min(max(media.input_image - cached_image, 0), plain - audio)
    said = min(max(media.output_audio, 0), output)
    drawn = min(max(media.output_image, 0), output - said)
    return (
        audio * (of.input_audio - price.input)
        + image * (of.input_image - price.input)
        + cached_audio * (of.cached_audio - price.cache_read)
        + cached_image * (of.cached_image - price.cache_read)
        + said * (of.output_audio - price.output)
        + drawn * (of.output_image - price.output)
    )


def rates(price: UnitPrice, tokens: int, at: int) -> UnitPrice:
    """Return the prices that hold for a prompt of so many tokens, at that moment in nanoseconds since 1970."""
    second = at // NANOS_PER_SECOND
    held = [variant.price for variant in price.variants if variant.holds(tokens, second)]
    return held[-1] if held else price


def hold(bound_input: int, bound_output: int, answers: int, price: UnitPrice, *, media: bool = True) -> Nano:
    """Return the most that an attempt can cost within its bounds, in billionths of the estate's currency; rounded up.

    Args:
        bound_input: no fewer than the prompt's tokens, however they split into plain, cached and cache-written ones.
        bound_output: no fewer than the tokens of one answer.
        answers: how many answers are asked for.
        price: the deployment's price. Any kind of input token may turn out to be the dearest, and any hour.
        media: whether the prompt may hold sound or pictures. An answer may, whatever was asked.
    """
    bounds = (max(bound_input, 0), max(bound_output, 0) * max(answers, 1))
    most = _hold(bounds, price, media=media)
    for variant in price.variants:
        if bound_input > variant.above:
            most = max(most, _hold(bounds, variant.price, media=media))
    return most


def _hold(bounds: tuple[int, int], price: UnitPrice, *, media: bool) -> Nano:
    dearest = max(price.input, price.cache_read, price.cache_write, price.cache_write_long)
    output = price.output
    if (of := price.media) is not None:
        if media:
            dearest = max(dearest, of.input_audio, of.input_image, of.cached_audio, of.cached_image)
        output = max(output, of.output_audio, of.output_image)
    return hold_picos(bounds[0] * dearest + bounds[1] * output)
