"""The tiny models, tokenizer and documents that the golden values are made from. Nothing here is downloaded."""
import json
import os
import random

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

VOCAB = 301

TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|begin|>' + message['role'] + '\n' + message['content'] + '<|end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|begin|>assistant\n' }}{% endif %}"
)

# What the merges are learnt from; written for this purpose.
TEXT = """The tape is recorded once, planned, then run many times. A plan is a promise: no step takes more memory than it says.
Every document of a batch lies beside the others, and those that begin alike share what they have in common.
A gradient is a sum over tokens, divided by their number. The order of the sum is fixed, so the bits are the same.
In 2026 there were 1,024 rows and 16 sections: games, fonts, mail, math, net, science, sound, text, video, web.
Was it faster? It was: twice as fast, on two cores, at 5 % of the memory. What didn't fit was computed again.
Grüße aus Köln; naïve café; 東京; emoji 🙂 and tabs\tand  double  spaces.
"""


def make_tokenizer(kind):
    """kind 'smollm': digits apart, then GPT-2's pattern; 'gpt2': the pattern alone."""
    special = ["<|endoftext|>", "<|begin|>", "<|end|>"]
    tok = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if kind == "smollm":
        tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])
    else:
        tok.pre_tokenizer = byte_level
    tok.decoder = decoders.ByteLevel()
    tok.post_processor = processors.ByteLevel(trim_offsets=True)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB, special_tokens=[AddedToken(s, special=True, normalized=False) for s in special],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False)
    tok.train_from_iterator(TEXT.splitlines(keepends=True), trainer)
    assert tok.get_vocab_size() == VOCAB, tok.get_vocab_size()
    end = "<|end|>" if kind == "smollm" else "<|endoftext|>"
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tok, bos_token="<|begin|>" if kind == "smollm" else "<|endoftext|>", eos_token=end,
        unk_token="<|endoftext|>", pad_token=end, clean_up_tokenization_spaces=False, model_max_length=128)
    if kind == "smollm":
        fast.chat_template = TEMPLATE
    return fast


def scale_weights(model, seed):
    """Random numbers large enough that logits are not flat and no gradient is lost in rounding."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            x = torch.randn(p.shape, generator=g, dtype=torch.float64)
            if "wpe" in name:
                x *= 0.2
            elif "embed" in name or "wte" in name or "lm_head" in name:
                x *= 0.45
            elif p.dim() == 2:
                n_in = p.shape[0] if ".c_" in name else p.shape[1]  # Conv1D keeps [in][out]
                x *= 1.1 / n_in ** 0.5
            elif p.dim() == 3:  # experts, each [out][in]
                x *= 1.1 / p.shape[2] ** 0.5
            elif name.endswith("bias"):
                x *= 0.1
            else:
                x = 1 + 0.2 * x
            p.copy_(x.float())
    return model


def make(model_class, config_class, tokenizer, seed, **options):
    """A tiny decoder of transformers' class."""
    options = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                   max_position_embeddings=128, bos_token_id=tokenizer.bos_token_id,
                   eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id) | options
    options = {k: v for k, v in options.items() if v is not None}
    cfg = config_class(**options)
    cfg._attn_implementation = options.get("attn_implementation", "eager")
    model = scale_weights(model_class(cfg), seed).eval()
    model.get_input_embeddings().padding_idx = None  # see make_llama
    return model


def make_llama(tied, tokenizer):
    cfg = LlamaConfig(
        vocab_size=VOCAB, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, max_position_embeddings=128, rms_norm_eps=1e-5, rope_theta=10000.0,
        tie_word_embeddings=tied, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id, attn_implementation="sdpa")
    model = scale_weights(LlamaForCausalLM(cfg), 11 if tied else 12).eval()
    # PyTorch gives the row of padding_idx no gradient, because padding would; here nothing is padded, and the padding token is EOS too.
    model.model.embed_tokens.padding_idx = None
    return model


def make_gpt2(tokenizer):
    cfg = GPT2Config(
        vocab_size=VOCAB, n_embd=40, n_layer=2, n_head=4, n_positions=128, embd_pdrop=0.0, attn_pdrop=0.0,
        resid_pdrop=0.0, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        attn_implementation="sdpa")
    return scale_weights(GPT2LMHeadModel(cfg), 13).eval()


def make_documents():
    """Ids and, for each, whether it is learnt. Documents 0, 1, 2 share 20 tokens, 1 and 2 share 17 more (a nested prefix),
    and what is learnt begins inside the shared part, differently for each. 4 is as short as can be; 5 is long."""
    rng = random.Random(7)
    ids = lambda n: [rng.randrange(VOCAB) for _ in range(n)]
    prefix, nested = ids(20), ids(17)
    docs = [prefix + ids(7), prefix + nested + ids(5), prefix + nested + ids(9), ids(33), ids(2), ids(64)]
    docs += [ids(n) for n in (11, 19, 5, 31, 8, 24)]
    begin = [1, 18, 36, 23, 1, 40, 4, 10, 1, 29, 3, 12]
    learn = [[int(j >= b) for j in range(len(d))] for d, b in zip(docs, begin)]
    learn[3][28] = 0  # a hole
    return docs, learn


ROWS = [  # what the whole pipeline learns: text rows through the tokenizer
    {"prompt": "Which section has games?", "completion": " games"},
    {"prompt": "Is the plan a promise?", "completion": " It is: no step takes more memory."},
    {"prompt": "How many rows in 2026?", "completion": " 1,024 rows"},
    {"prompt": "What is naïve about café?", "completion": " Nothing at all 🙂"},
]


def row_documents(tokenizer):
    docs, learn = [], []
    for r in ROWS:
        p = tokenizer(r["prompt"], add_special_tokens=False)["input_ids"]
        both = tokenizer(r["prompt"] + r["completion"], add_special_tokens=False)["input_ids"]
        assert both[:len(p)] == p
        docs.append(both + [tokenizer.eos_token_id])
        learn.append([int(j >= len(p)) for j in range(len(both) + 1)])
    return docs, learn


def write_rows(path):
    with open(path, "w", encoding="utf-8") as f:
        for r in ROWS:
            f.write(json.dumps(r, ensure_ascii=False) + "\n")


def save_model(model, tokenizer, path):
    os.makedirs(path, exist_ok=True)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
