/* quantize_gguf: a GGUF file with its matrices in other types, byte for byte what llama-quantize writes of it: all
 * metadata kept, general.quantization_version and general.file_type set, tensors by layer and name. A model in several
 * files becomes one. */
#ifndef FORMAT_QUANTIZE_GGUF_H
#define FORMAT_QUANTIZE_GGUF_H

#include "base/pool.h"
#include "format/gguf_write.h"
#include "format/imatrix.h"
#include "format/quant_mix.h"

struct quantize_list {
	struct quant_mix_tensor *t;   /* [n] sorted, with what each becomes; mem_free */
	size_t n;
	size_t bytes_from, bytes_to;
	size_t n_fell_back, n_unweighted;   /* of those that change: to another type; without an entry in the imatrix */
};

struct quantize_how {
	const struct quant_mix_wish *wish;
	const struct imatrix *imatrix;      /* or NULL */
	const char *imatrix_path;
	bool allow_requantize;              /* take blocks for numbers: what they lost stays lost */
	/* before each tensor; other than 0 ends it. May be NULL */
	int (*progress)(void *ctx, const struct quant_mix_tensor *t, size_t done, size_t total /* bytes */);
	void *ctx;
};

/* What each tensor becomes; nothing is computed. Errors name the tensor. */
int quantize_list_gguf(struct quantize_list *l, const struct gguf *g, const struct quantize_how *how, struct err *e);
/* The same of tensors that are in l->t already (name, dims, dtype, index). */
int quantize_list_choose(struct quantize_list *l, const struct quant_mix_facts *f, const struct quantize_how *how,
                         const char *where, struct err *e);
int quantize_gguf(const char *path, const struct gguf *g, const struct quantize_list *l,
                  const struct quantize_how *how, struct pool *p, struct err *e);
void quantize_list_release(struct quantize_list *l);

/* A matrix's weights, or NULL; expert: of a stack. */
const float *quantize_weights(const struct quantize_how *how, const char *name, size_t cols, size_t expert);
/* The keys that say which importance matrix was used. Of a source that has some, they are of how it was made. */
void quantize_put_keys(const struct quantize_how *how, struct gguf_meta *meta);
bool quantize_is_key(const char *key);

#endif
