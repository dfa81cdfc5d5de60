/* quantize_model: export_gguf's list of tensors, to which quant_mix gives types, and its file, whose matrices
 * quantize_matrix packs. See quantize_model.h. */
#include "model/quantize_model.h"

#include "base/mem.h"

/* --- the list --- */

void quantize_model_wish(struct quant_mix_wish *w, const struct quant_mix *mixture, bool importance,
                         const struct model *m)
{
	static const struct quant_mix_rule linears = { "^blk\\..*\\.(attn|ffn)_.*weight$", DTYPE_MXFP4 };
	int of;

	*w = (struct quant_mix_wish){ .mixture = mixture, .output = DTYPE_COUNT, .embedding = DTYPE_COUNT,
		                      .importance = importance };
	if (mixture->dtype == DTYPE_MXFP4 && model_experts(m, &of) == 0) {
		w->rules = &linears;
		w->n_rules = 1;
	}
}

static void add_tensors(struct quantize_model *q, bool as_f32)
{
	q->list = (struct quantize_list){ .t = mem_array(q->export.n + 1, sizeof(*q->list.t)), .n = q->export.n };
	for (size_t i = 0; i < q->export.n; i++) {
		const struct export_tensor *x = &q->export.tensor[i];
		struct quant_mix_tensor *t = &q->list.t[i];
		bool f32 = x->plain ? !x->kept : as_f32 && x->spec;
		*t = (struct quant_mix_tensor){ .name = x->name, .n_dims = x->n_dims, .index = i,
			                      .dtype = f32 ? DTYPE_F32 : x->dtype, .dim = { 1, 1, 1, 1 } };
		for (int d = 0; d < x->n_dims; d++)
			t->dim[d] = x->dim[x->n_dims - 1 - d];
	}
}

int quantize_model_list(struct quantize_model *q, const struct model *m, const struct export_weights *weights,
                        bool as_f32, const struct quantize_how *how, struct err *e)
{
	int experts;

	*q = (struct quantize_model){ .how = how };
	if (export_gguf_list(&q->export, m, weights, e) < 0)
		return -1;
	model_experts(m, &experts);
	const struct config *c = &q->export.as;
	struct quant_mix_facts f = {
		.architecture = c->arch->gguf, .layers = c->n_layers, .heads = c->H, .kv_heads = c->G,
		.experts = experts,
	};
	add_tensors(q, as_f32);
	if (quantize_list_choose(&q->list, &f, how, m->source.path, e) == 0)
		return 0;
	quantize_model_release(q);
	return -1;
}

void quantize_model_release(struct quantize_model *q)
{
	export_gguf_release(&q->export);
	quantize_list_release(&q->list);
	*q = (struct quantize_model){ 0 };
}

/* --- the file --- */

static int pack(void *ctx, const struct export_tensor *t, int expert, const float *x, size_t rows, size_t cols,
                void *out, struct err *e)
{
	struct quantize_model *q = ctx;
	struct quantize_matrix m = { .name = t->name, .from = DTYPE_F32, .to = t->dtype, .data = x, .rows = rows,
		                     .cols = cols, .out = out,
		                     .weights = quantize_weights(q->how, t->name, cols, (size_t)expert) };

	if (q->before && q->before(q->ctx, t, e) < 0)
		return -1;
	if (q->rounding && q->rounding(q->ctx, t, expert, &m, e) < 0)
		return -1;
	return quantize_matrix(q->pool, &m, e);
}

static void put_keys(void *ctx, struct gguf_meta *meta)
{
	struct quantize_model *q = ctx;

	if (q->keys)
		q->keys(q->ctx, meta);
	quantize_put_keys(q->how, meta);
}

static struct export_gguf choose(struct quantize_model *q)
{
	for (size_t i = 0; i < q->list.n; i++) {
		struct export_tensor *t = &q->export.tensor[q->list.t[i].index];
		if (t->spec && !t->plain)
			t->dtype = q->list.t[i].to;
	}
	return (struct export_gguf){ .pack = pack, .keys = put_keys,
		                     .file_type = (int)q->how->wish->mixture->file_type, .ctx = q };
}

int quantize_model_check(struct quantize_model *q, struct err *e)
{
	struct export_gguf how = choose(q);

	return export_gguf_check(&q->export, &how, e);
}

int quantize_model_write(struct quantize_model *q, const char *path, struct pool *p, struct err *e)
{
	struct export_gguf how = choose(q);

	q->pool = p;
	return export_gguf_write(&q->export, path, &how, e);
}
