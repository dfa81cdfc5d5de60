/* fixture_gguf: a small writer, the reader's counterpart; it checks nothing, so that tests can write what is wrong. */
#include "fixture_gguf.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "format/gguf.h"

static void add_u32(struct buf *b, uint32_t x)
{
	for (int i = 0; i < 4; i++)
		buf_addc(b, (char)(x >> 8 * i));
}

static void add_u64(struct buf *b, uint64_t x)
{
	add_u32(b, (uint32_t)x);
	add_u32(b, (uint32_t)(x >> 32));
}

static void add_string(struct buf *b, const char *s)
{
	add_u64(b, strlen(s));
	buf_adds(b, s);
}

static void begin(struct gguf_fixture *f, const char *key, uint32_t type)
{
	add_string(&f->kv, key);
	add_u32(&f->kv, type);
	f->n_kv++;
}

void fixture_raw(struct gguf_fixture *f, const char *key, uint32_t type, const void *value, size_t n)
{
	begin(f, key, type);
	buf_add(&f->kv, value, n);
}

void fixture_u32(struct gguf_fixture *f, const char *key, uint32_t x)
{
	begin(f, key, GGUF_U32);
	add_u32(&f->kv, x);
}

void fixture_f32(struct gguf_fixture *f, const char *key, float x)
{
	uint32_t bits;
	memcpy(&bits, &x, sizeof(bits));
	begin(f, key, GGUF_F32);
	add_u32(&f->kv, bits);
}

void fixture_bool(struct gguf_fixture *f, const char *key, bool x)
{
	begin(f, key, GGUF_BOOL);
	buf_addc(&f->kv, x);
}

void fixture_str(struct gguf_fixture *f, const char *key, const char *x)
{
	begin(f, key, GGUF_STRING);
	add_string(&f->kv, x);
}

void fixture_strings(struct gguf_fixture *f, const char *key, const char *const *x, size_t n)
{
	begin(f, key, GGUF_ARRAY);
	add_u32(&f->kv, GGUF_STRING);
	add_u64(&f->kv, n);
	for (size_t i = 0; i < n; i++)
		add_string(&f->kv, x[i]);
}

void fixture_i32s(struct gguf_fixture *f, const char *key, const int32_t *x, size_t n)
{
	begin(f, key, GGUF_ARRAY);
	add_u32(&f->kv, GGUF_I32);
	add_u64(&f->kv, n);
	for (size_t i = 0; i < n; i++)
		add_u32(&f->kv, (uint32_t)x[i]);
}

static uint32_t alignment(const struct gguf_fixture *f) { return f->alignment ? f->alignment : 32; }

void fixture_tensor(struct gguf_fixture *f, const char *name, int n_dims, const uint64_t *dim, enum dtype dtype,
                    const void *data, size_t bytes)
{
	while (f->data.len % alignment(f))
		buf_addc(&f->data, 0);
	add_string(&f->info, name);
	add_u32(&f->info, (uint32_t)n_dims);
	for (int i = 0; i < n_dims; i++)
		add_u64(&f->info, dim[i]);
	add_u32(&f->info, (uint32_t)dtypes[dtype].gguf);
	add_u64(&f->info, f->data.len);
	buf_add(&f->data, data, bytes);
	f->n_tensors++;
}

void fixture_floats(struct gguf_fixture *f, const char *name, int n_dims, const uint64_t *dim, enum dtype dtype,
                    const float *data)
{
	size_t n = 1;
	for (int i = 0; i < n_dims; i++)
		n *= dim[i];
	size_t bytes = n / dtypes[dtype].block * dtypes[dtype].bytes;
	void *stored = mem_alloc(bytes);
	dtypes[dtype].from_float(data, stored, n);
	fixture_tensor(f, name, n_dims, dim, dtype, stored, bytes);
	mem_free(stored);
}

void fixture_finish(struct gguf_fixture *f, struct buf *out)
{
	size_t start = out->len;
	if (f->alignment)
		fixture_u32(f, "general.alignment", f->alignment);
	buf_adds(out, "GGUF");
	add_u32(out, 3);
	add_u64(out, f->n_tensors);
	add_u64(out, f->n_kv);
	buf_add(out, f->kv.data, f->kv.len);
	buf_add(out, f->info.data, f->info.len);
	while (f->n_tensors && (out->len - start) % alignment(f))
		buf_addc(out, 0);
	buf_add(out, f->data.data, f->data.len);
	buf_release(&f->kv);
	buf_release(&f->info);
	buf_release(&f->data);
	*f = (struct gguf_fixture){ 0 };
}

/* GPT-2's letters for bytes: printable ones stand for themselves, the others follow from U+0100 on. */
static void byte_token(int byte, char *out)
{
	static const int plain[][2] = { { 33, 126 }, { 161, 172 }, { 174, 255 } };
	uint32_t cp = 256;
	for (int b = 0; b <= byte; b++) {
		bool is_plain = false;
		for (size_t i = 0; i < ARRAY_LEN(plain); i++)
			is_plain |= b >= plain[i][0] && b <= plain[i][1];
		if (b == byte)
			out[utf8_encode(is_plain ? (uint32_t)b : cp, out)] = 0;
		cp += !is_plain;
	}
}

static void add_tokenizer(struct gguf_fixture *f)
{
	static const char *const merges[] = { "h e", "l l", "he ll" };
	static char text[TINY_V][20];
	const char *tokens[TINY_V];
	int32_t type[TINY_V];
	for (int i = 0; i < 256; i++)
		byte_token(i, text[i]);
	strcpy(text[256], "he");
	strcpy(text[257], "ll");
	strcpy(text[258], "hell");
	strcpy(text[259], "<|endoftext|>");
	strcpy(text[260], "<|im_end|>");
	for (int i = 0; i < TINY_V; i++) {
		tokens[i] = text[i];
		type[i] = i < 259 ? 1 : 3;
	}
	fixture_str(f, "tokenizer.ggml.model", "gpt2");
	fixture_str(f, "tokenizer.ggml.pre", "smollm");
	fixture_strings(f, "tokenizer.ggml.tokens", tokens, TINY_V);
	fixture_i32s(f, "tokenizer.ggml.token_type", type, TINY_V);
	fixture_strings(f, "tokenizer.ggml.merges", merges, ARRAY_LEN(merges));
	fixture_u32(f, "tokenizer.ggml.bos_token_id", 259);
	fixture_u32(f, "tokenizer.ggml.eos_token_id", 260);
	fixture_bool(f, "tokenizer.ggml.add_bos_token", false);
	fixture_str(f, "tokenizer.chat_template",
	            "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '<|im_end|>' }}{% endfor %}"
	            "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}");
}

static void add_config(struct gguf_fixture *f)
{
	fixture_str(f, "general.architecture", "llama");
	fixture_str(f, "general.name", "tiny");
	fixture_u32(f, "llama.block_count", TINY_LAYERS);
	fixture_u32(f, "llama.context_length", 128);
	fixture_u32(f, "llama.embedding_length", TINY_C);
	fixture_u32(f, "llama.feed_forward_length", TINY_F);
	fixture_u32(f, "llama.attention.head_count", TINY_H);
	fixture_u32(f, "llama.attention.head_count_kv", TINY_G);
	fixture_u32(f, "llama.rope.dimension_count", TINY_D);
	fixture_f32(f, "llama.rope.freq_base", 10000);
	fixture_f32(f, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
	fixture_u32(f, "llama.vocab_size", TINY_V);
}

/* Random numbers around `mean`. */
static void add_random(struct gguf_fixture *f, struct rng_stream *r, enum dtype dtype, float mean, uint64_t in,
                       uint64_t out, const char *name)
{
	size_t n = in * MAX(out, (uint64_t)1);
	float *w = mem_array(n, sizeof(*w));
	for (size_t i = 0; i < n; i++)
		w[i] = mean + 0.15f * rng_next_float(r);
	fixture_floats(f, name, out ? 2 : 1, (uint64_t[]){ in, out }, dtype, w);
	mem_free(w);
}

void fixture_llama(struct buf *out, enum dtype dtype, bool tied, uint64_t seed)
{
	static const struct { const char *name; int in, out;
	} part[] = {
		{ "attn_norm", TINY_C, 0 },
		{ "attn_q", TINY_C, TINY_H * TINY_D },
		{ "attn_k", TINY_C, TINY_G * TINY_D },
		{ "attn_v", TINY_C, TINY_G * TINY_D },
		{ "attn_output", TINY_H * TINY_D, TINY_C },
		{ "ffn_norm", TINY_C, 0 },
		{ "ffn_gate", TINY_C, TINY_F },
		{ "ffn_up", TINY_C, TINY_F },
		{ "ffn_down", TINY_F, TINY_C },
	};
	struct gguf_fixture f = { 0 };
	struct rng_stream r = { seed };
	char name[64];
	add_config(&f);
	add_tokenizer(&f);
	add_random(&f, &r, dtype, 0, TINY_C, TINY_V, "token_embd.weight");
	for (int l = 0; l < TINY_LAYERS; l++)
		for (size_t i = 0; i < ARRAY_LEN(part); i++) {
			snprintf(name, sizeof(name), "blk.%d.%s.weight", l, part[i].name);
			add_random(&f, &r, part[i].out ? dtype : DTYPE_F32, part[i].out ? 0 : 1, (uint64_t)part[i].in,
			           (uint64_t)part[i].out, name);
		}
	add_random(&f, &r, DTYPE_F32, 1, TINY_C, 0, "output_norm.weight");
	if (!tied)
		add_random(&f, &r, dtype, 0, TINY_C, TINY_V, "output.weight");
	fixture_finish(&f, out);
}
