/* quantize_model: a model as a GGUF file of a mixture of types (format/quant_mix.h): which type each tensor gets, and
 * the file. The numbers come from the caller, weight by weight (model/export.h), as those of a folder, or of what is
 * trained.
 *
 *     quantize_model_list(&q, m, &weights, as_f32, &how, e);    names, dims, types
 *     quantize_model_write(&q, path, pool, keys, ctx, e);
 *     quantize_model_release(&q); */
#ifndef MODEL_QUANTIZE_MODEL_H
#define MODEL_QUANTIZE_MODEL_H

#include "base/pool.h"
#include "format/quantize_gguf.h"
#include "model/export_gguf.h"
#include "quant/quantize_matrix.h"

struct quantize_model {
	const struct quantize_how *how;
	struct export_gguf_list export;
	struct quantize_list list;          /* list.t[i].index: of export.tensor */
	struct pool *pool;
	int (*before)(void *ctx, const struct export_tensor *t, struct err *e);
	int (*rounding)(void *ctx, const struct export_tensor *t, int expert, struct quantize_matrix *m, struct err *e);
	void (*keys)(void *ctx, struct gguf_meta *meta);
	void *ctx;
};

/* The mixture as it is meant: where mxfp4's speaks of experts alone and a model has none, the linears of its blocks. */
void quantize_model_wish(struct quant_mix_wish *w, const struct quant_mix *mixture, bool importance,
                         const struct model *m);
/* as_f32: whatever the source stores is numbers now, so blocks are no reason to refuse. The tokenizer is open
 * (model_tokenizer). weights and how are borrowed until the release. After an error nothing is open. */
int quantize_model_list(struct quantize_model *q, const struct model *m, const struct export_weights *weights,
                        bool as_f32, const struct quantize_how *how, struct err *e);
/* Whether it can be written, for who will only later. */
int quantize_model_check(struct quantize_model *q, struct err *e);
/* q->before, or NULL: asked before each matrix, −1 ends it; q->rounding, or NULL: may put into m->factors those by
 * which it is rounded with compensation, where its type can be (quant/gptq.h), or into m->scales its blocks' scales
 * (quant/ranges.h); q->keys, or NULL: puts keys of the caller's. Beside and renamed. */
int quantize_model_write(struct quantize_model *q, const char *path, struct pool *p, struct err *e);
void quantize_model_release(struct quantize_model *q);

#endif
