/* quantize_gguf: the list, the header, then one tensor after the other. See quantize_gguf.h. */
#include "format/quantize_gguf.h"

#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "quant/quantize_matrix.h"

enum { IMATRIX_TEXT = 127 /* bytes that llama.cpp keeps of a name */ };

/* --- the list --- */

/* What no model has so much, or less than nothing, of is brought to what an int holds. */
static int64_t fact(const struct gguf *g, const char *architecture, const char *what)
{
	char key[160];
	struct err ignored = ERR_INIT;
	int64_t x;

	snprintf(key, sizeof(key), "%.80s.%s", architecture, what);
	const struct gguf_kv *kv = gguf_find(g, key);
	if (kv && kv->type == GGUF_ARRAY && kv->n_items && (kv->item_type == GGUF_U32 || kv->item_type == GGUF_I32)) {
		int32_t first; /* of each layer: the first one's */
		memcpy(&first, kv->items, sizeof(first));
		return first;
	}
	return kv && gguf_int(g, key, false, 0, &x, &ignored) == 0 ? MAX(MIN(x, INT32_MAX), 0) : 0;
}

static int facts_of(const struct gguf *g, struct quant_mix_facts *f, struct err *e)
{
	if (gguf_str(g, "general.architecture", true, &f->architecture, e) < 0)
		return -1;
	f->layers = fact(g, f->architecture, "block_count");
	f->heads = fact(g, f->architecture, "attention.head_count");
	f->kv_heads = fact(g, f->architecture, "attention.head_count_kv");
	f->experts = fact(g, f->architecture, "expert_count");
	if (f->kv_heads == 0)
		f->kv_heads = f->heads;
	return 0;
}

/* An entry of another size is a mistake, but of the embedding, which is looked up and has none. */
static int check_weights(const struct quantize_how *how, const struct quant_mix_tensor *t, struct quantize_list *l,
                         struct err *e)
{
	const struct imatrix_entry *x = how->imatrix ? imatrix_find(how->imatrix, t->name) : NULL;

	if (how->imatrix && !x)
		l->n_unweighted++;
	if (!x || x->n == t->dim[0] * t->dim[2] || !strcmp(t->name, "token_embd.weight"))
		return 0;
	return err_set(e, "%s: '%.80s' has %zu numbers, the model's matrix wants %llu", how->imatrix_path, t->name,
	               x->n, (unsigned long long)(t->dim[0] * t->dim[2]));
}

static size_t bytes_as(const struct quant_mix_tensor *t, enum dtype d)
{
	return t->dim[0] / dtypes[d].block * dtypes[d].bytes * t->dim[1] * t->dim[2] * t->dim[3];
}

/* Rows that no block divides stay numbers: where all are such, there is nothing to be had. */
static int check_any(const struct quantize_list *l, const struct quantize_how *how, const char *where, struct err *e)
{
	const struct quant_mix *m = how->wish->mixture;
	size_t i = 0;

	while (i < l->n && dtypes[l->t[i].to].block == 1)
		i++;
	if (i < l->n || dtypes[m->dtype].block == 1)
		return 0;
	return err_set(e, "%s: no matrix has rows that blocks of %u numbers divide: none would be %s", where,
	               dtypes[m->dtype].block, m->name);
}

int quantize_list_choose(struct quantize_list *l, const struct quant_mix_facts *f, const struct quantize_how *how,
                         const char *where, struct err *e)
{
	quant_mix_sort(l->t, l->n);
	if (quant_mix_choose(how->wish, f, l->t, l->n, e) < 0)
		return -1;
	for (size_t i = 0; i < l->n; i++) {
		const struct quant_mix_tensor *t = &l->t[i];
		l->bytes_from += bytes_as(t, t->dtype);
		l->bytes_to += bytes_as(t, t->to);
		l->n_fell_back += t->fell_back;
		if (t->to == t->dtype)
			continue;
		if (dtypes[t->dtype].block > 1 && !how->allow_requantize)
			return err_set(e, "%s: '%.80s' is quantized already (%s), and what was lost then stays lost; "
			                  "begin with a file in f16, bf16 or f32, or give --allow-requantize",
			               where, t->name, dtypes[t->dtype].name);
		if (check_weights(how, t, l, e) < 0)
			return -1;
	}
	return check_any(l, how, where, e);
}

int quantize_list_gguf(struct quantize_list *l, const struct gguf *g, const struct quantize_how *how, struct err *e)
{
	struct quant_mix_facts f = { 0 };

	*l = (struct quantize_list){ .t = mem_array(g->n_tensors + 1, sizeof(*l->t)), .n = g->n_tensors };
	for (size_t i = 0; i < g->n_tensors; i++) {
		const struct gguf_tensor *t = &g->tensors[i];
		l->t[i] = (struct quant_mix_tensor){
			.name = t->name, .n_dims = t->n_dims, .dtype = t->dtype, .index = i
		};
		memcpy(l->t[i].dim, t->dim, sizeof(t->dim));
	}
	if (facts_of(g, &f, e) == 0 && quantize_list_choose(l, &f, how, g->path, e) == 0)
		return 0;
	quantize_list_release(l);
	return -1;
}

void quantize_list_release(struct quantize_list *l)
{
	mem_free(l->t);
	*l = (struct quantize_list){ 0 };
}

/* --- the file --- */

const float *quantize_weights(const struct quantize_how *how, const char *name, size_t cols, size_t expert)
{
	const struct imatrix_entry *x = how->imatrix ? imatrix_find(how->imatrix, name) : NULL;

	return x && (expert + 1) * cols <= x->n ? x->mean + expert * cols : NULL;
}

void quantize_put_keys(const struct quantize_how *how, struct gguf_meta *meta)
{
	char text[IMATRIX_TEXT + 1];

	if (!how->imatrix)
		return;
	snprintf(text, sizeof(text), "%s", how->imatrix_path);
	gguf_put_str(meta, "quantize.imatrix.file", text);
	if (how->imatrix->dataset) {
		snprintf(text, sizeof(text), "%s", how->imatrix->dataset);
		gguf_put_str(meta, "quantize.imatrix.dataset", text);
	}
	gguf_put_u32(meta, "quantize.imatrix.entries_count", (uint32_t)how->imatrix->n);
	if (how->imatrix->chunks > 0)
		gguf_put_u32(meta, "quantize.imatrix.chunks_count", (uint32_t)how->imatrix->chunks);
}

bool quantize_is_key(const char *key) { return !strncmp(key, "quantize.imatrix.", strlen("quantize.imatrix.")); }

/* Replaced, of one file that was several, or of how the other was aligned. */
static bool is_dropped(const char *key)
{
	static const char *const keys[] = { "general.quantization_version", "general.file_type", "general.alignment",
		                            "split.no", "split.count", "split.tensors.count" };

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (!strcmp(keys[i], key))
			return true;
	return false;
}

static void put_meta(struct gguf_meta *meta, const struct gguf *g, const struct quantize_how *how)
{
	for (size_t i = 0; i < g->n_kv; i++)
		if (!is_dropped(g->kv[i].key) && !(how->imatrix && quantize_is_key(g->kv[i].key)))
			gguf_put_kv(meta, &g->kv[i]);
	gguf_put_u32(meta, "general.quantization_version", GGUF_QUANTIZATION_VERSION);
	gguf_put_u32(meta, "general.file_type", how->wish->mixture->file_type);
	quantize_put_keys(how, meta);
}

static void describe(const struct quant_mix_tensor *from, struct gguf_tensor *to)
{
	*to = (struct gguf_tensor){ .name = from->name, .dtype = from->to, .n_dims = from->n_dims,
		                    .bytes = bytes_as(from, from->to) };
	memcpy(to->dim, from->dim, sizeof(to->dim));
	while (to->n_dims > 1 && to->dim[to->n_dims - 1] == 1)
		to->n_dims--;
}

/* A stack's matrices one after the other: each has weights of its own. */
static int fill(const struct quant_mix_tensor *t, const struct gguf_tensor *from, const struct quantize_how *how,
                struct pool *p, uint8_t *out, struct err *e)
{
	size_t parts = t->dim[2] * t->dim[3], n = bytes_as(t, t->to) / parts;

	for (size_t i = 0; i < parts; i++) {
		struct quantize_matrix m = {
			.name = t->name, .from = t->dtype, .to = t->to, .data = from->data + from->bytes / parts * i,
			.rows = t->dim[1], .cols = t->dim[0], .out = out + n * i,
			.weights = t->to == t->dtype ? NULL : quantize_weights(how, t->name, t->dim[0], i),
		};
		if (quantize_matrix(p, &m, e) < 0)
			return -1;
	}
	return 0;
}

static int write_tensors(struct io_writer *w, const struct gguf *g, const struct quantize_list *l,
                         const struct gguf_tensor *to, const struct quantize_how *how, struct pool *p, void *scratch,
                         struct err *e)
{
	size_t done = 0;

	for (size_t i = 0; i < l->n; i++) {
		if (how->progress && how->progress(how->ctx, &l->t[i], done, l->bytes_to))
			return err_set(e, "interrupted before '%.80s' was written", l->t[i].name);
		if (fill(&l->t[i], &g->tensors[l->t[i].index], how, p, scratch, e) < 0 ||
		    io_writer_add(w, scratch, to[i].bytes, e) < 0 || gguf_writer_pad(w, &to[i], e) < 0)
			return -1;
		done += to[i].bytes;
	}
	return 0;
}

int quantize_gguf(const char *path, const struct gguf *g, const struct quantize_list *l,
                  const struct quantize_how *how, struct pool *p, struct err *e)
{
	struct gguf_tensor *to = mem_array(l->n + 1, sizeof(*to));
	struct gguf_meta meta = { 0 };
	struct io_writer w;
	size_t largest = 1;
	void *scratch = NULL;

	for (size_t i = 0; i < l->n; i++) {
		describe(&l->t[i], &to[i]);
		largest = MAX(largest, to[i].bytes);
	}
	put_meta(&meta, g, how);
	int status = io_need_space(path, l->bytes_to, "the model", e);
	if (status == 0)
		status = mem_map(&scratch, largest, "a tensor to be written", e);
	if (status == 0 && (status = gguf_writer_open(&w, path, &meta, to, l->n, e)) == 0) {
		status = write_tensors(&w, g, l, to, how, p, scratch, e);
		status = io_writer_end(&w, status, e);
	}
	buf_release(&meta.bytes);
	mem_unmap(scratch, largest);
	mem_free(to);
	return status;
}
