"""Lists the request fields that providers accept; pure (main process)."""

from collections.abc import Iterable

__all__ = ["FIREWORKS_FIELDS", "unknown_fields"]

# The chat-completions parameters of Fireworks' OpenAPI description (its Python SDK 1.2.30), and
# those that its NIM page says are dropped or translated. A request with any other is a 400.
FIREWORKS_FIELDS = frozenset(
    """
    context_length_exceeded_behavior echo echo_last frequency_penalty ignore_eos logit_bias
    logprobs max_completion_tokens max_tokens messages metadata min_p min_tokens mirostat_lr
    mirostat_target model n parallel_tool_calls perf_metrics_in_response prediction
    presence_penalty prompt_cache_isolation_key prompt_cache_key prompt_truncate_len raw_output
    reasoning_effort reasoning_history repetition_penalty response_format return_token_ids
    safe_tokenization seed service_tier speculation stop stream temperature thinking tool_choice
    tools top_k top_logprobs top_p typical_p user

    add_generation_prompt add_special_tokens allowed_token_ids bad_words best_of
    chat_template_kwargs continue_final_message detokenize guided_choice
    guided_decoding_backend guided_grammar guided_json guided_regex include_reasoning
    include_stop_str_in_output nvext skip_special_tokens spaces_between_special_tokens
    stop_token_ids truncate_prompt_tokens use_beam_search
    """.split()
)


def unknown_fields(fields: Iterable[str], *, speaks_fireworks: bool) -> tuple[str, ...]:
    """Fields that the provider does not document; other servers ignore unknown fields."""
    return tuple(sorted(set(fields) - FIREWORKS_FIELDS)) if speaks_fireworks else ()
