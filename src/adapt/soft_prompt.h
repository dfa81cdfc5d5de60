/* soft_prompt: what adapters of virtual tokens share: PEFT's config of prompt learning, the one tensor of its files,
 * tokens to begin with.
 *
 * There are n virtual tokens before every text (overlay.virtual_tokens), and a row of numbers for each: of the
 * embedding, or keys and values of all layers. PEFT's file has these rows as "prompt_embeddings" [n, width], whatever
 * they were made with; whoever trains an encoder that makes them saves what it makes. */
#ifndef ADAPT_SOFT_PROMPT_H
#define ADAPT_SOFT_PROMPT_H

#include "adapt/adapter.h"
#include "adapt/peft_config.h"
#include "op/ops.h"

struct graph;

#define SOFT_PROMPT_TENSOR "prompt_embeddings"
enum { SOFT_PROMPT_MOST = 1 << 20 };

struct soft_prompt_options { int64_t n; const char *base; };
#define SOFT_PROMPT_OPTS(s, f, init) \
	OPT_INT("num-virtual-tokens", s, f.n, init, 1, SOFT_PROMPT_MOST, \
	        "how many virtual tokens stand before every text; each takes a place of the context"), \
		ADAPTER_BASE_OPT(s, f.base)

/* Rows of the embedding, or for each layer a row of keys and one of values. */
enum soft_prompt_kind { PROMPT_ROWS, PROMPT_KEYS };

size_t soft_prompt_width(const struct model *m, enum soft_prompt_kind kind);
/* A new one's config: own (taken) has the type's keys. */
void soft_prompt_begin(struct adapter *a, const struct model *m, enum soft_prompt_kind kind,
                       const struct soft_prompt_options *o, json_t *own);
/* Reads and judges a->config; a->overlay has its virtual tokens from then on. Errors: keys that would not be done, a
 * model that cannot have such an adapter, more tokens than it has positions for. */
int soft_prompt_check(struct adapter *a, const struct model *m, enum soft_prompt_kind kind,
                      const struct peft_keys *keys, struct err *e);
/* The parameter [n, width] under PEFT's name: its number. */
int soft_prompt_param(struct adapter *a, const struct model *m, enum soft_prompt_kind kind);
/* Once it has its own parameters: the head of a model that classifies, whole beside them, and its memory. */
int soft_prompt_seal(struct adapter *a, const struct model *m, struct err *e);
/* From a file: check, the parameter, its numbers. */
int soft_prompt_load(struct adapter *a, const struct model *m, enum soft_prompt_kind kind,
                     const struct peft_keys *keys, const json_t *config, const struct safetensors *s, const char *dir,
                     struct err *e);

/* n tokens of a text with what the tokenizer puts around one, again from the front until there are n. what: whose text
 * it is, for sentences. */
int soft_prompt_text(const struct model *m, const char *text, const char *what, int32_t *ids, size_t n, struct err *e);
/* n tokens drawn from all of the vocabulary. */
void soft_prompt_draw(const struct model *m, uint64_t seed, int32_t *ids, size_t n);
/* The rows [n, C] that these tokens have in the embedding, as transformers' module gives them. */
void soft_prompt_rows(const struct model *m, const int32_t *ids, size_t n, float *rows);

/* y (N,C), with rows of the tensor p, from a column of it on, where the overlay's virtual tokens are. */
uint32_t soft_prompt_put(struct graph *g, const struct overlay *o, uint32_t y, uint32_t p, size_t column);
/* The hook virtual_rows: p [n, C] is rows of the embedding. */
uint32_t soft_prompt_embed(struct graph *g, const struct overlay *o, uint32_t y, uint32_t p);

#endif
