"""A tiny RoBERTa: positions counted from behind a padding token that no golden document has; no GGUF of its own."""
from transformers import RobertaConfig, RobertaForMaskedLM

import tiny

GGUF = None


def make(tokenizer):
    used = {t for d in tiny.make_documents()[0] for t in d}
    padding = min(t for t in range(tiny.VOCAB) if t not in used)
    model = tiny.make(RobertaForMaskedLM, RobertaConfig, tokenizer, 61, attn_implementation="sdpa", type_vocab_size=1,
                      pad_token_id=padding, max_position_embeddings=padding + 1 + 128, hidden_dropout_prob=0.0,
                      attention_probs_dropout_prob=0.0)
    model.roberta.embeddings.position_embeddings.padding_idx = None
    return model
