/* export_gguf: a list of tensors, the metadata, and the bytes one tensor after the other. See export_gguf.h.
 *
 * A weight goes through f32 in Hugging Face's order, from which rows are permuted and 1 added where GGUF has it so;
 * from GGUF to the same dtype the bytes are copied. One weight as f32 and one as stored exist at a time. */
#include "model/export_gguf.h"

#include <string.h>

#include "base/mem.h"
#include "base/stop.h"
#include "base/text.h"
#include "format/quantize_gguf.h"
#include "model/config.h"
#include "model/weights.h"
#include "token/gguf_known.h"
#include "token/tokenizer.h"
#include "token/tokenizer_put.h"

/* --- tensors --- */

/* What llama.cpp's converter stores as F32 though it is a matrix: routers, and positions and kinds of tokens. */
static bool is_plain(const struct export_tensor *t)
{
	static const char *const names[] = { "position_embd.weight", "token_types.weight", ".ffn_gate_inp.weight",
		                             ".ffn_gate_inp_shexp.weight" };

	if (t->n_dims < 2 || !text_ends(t->name, ".weight"))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (text_ends(t->name, names[i]))
			return true;
	return false;
}

void export_gguf_store(struct export_tensor *t, enum dtype dtype)
{
	size_t cols = t->dim[t->n_dims - 1];

	if (!t->spec)
		return;
	t->dtype = t->plain ? DTYPE_F32 : cols % dtypes[dtype].block ? DTYPE_F16 : dtype;
}

/* As it is stored now, if a GGUF can have it so. */
static enum dtype stored_as(const struct weight *w)
{
	if (w->dtype == DTYPE_F8_E4M3 || w->dtype == DTYPE_F8_E5M2)
		return DTYPE_BF16; /* which holds each of them */
	return w->dtype == DTYPE_F64 || dtypes[w->dtype].gguf < 0 ? DTYPE_F32 : w->dtype;
}

/* The weight's row in the table that the file is of, whose names may begin otherwise; NULL: it has none. */
static const struct weight_spec *spec_of(struct export_gguf_list *l, const struct weight *w)
{
	const struct arch *own = l->model->config.arch, *as = l->as.arch;
	const struct weight_spec *spec = weight_spec(as, w->spec->hf);
	size_t n = strlen(own->prefix);
	struct buf name = BUF_INIT;

	if (spec || !n || !strcmp(own->prefix, as->prefix))
		return spec;
	for (const char *at = w->spec->hf; *at;) {
		size_t word = strcspn(at, " "), skip = strncmp(at, own->prefix, n) ? 0 : n;
		buf_adds(&name, name.len ? " " : "");
		buf_adds(&name, skip ? as->prefix : "");
		buf_add(&name, at + skip, word - skip);
		at += word + (at[word] == ' ');
	}
	spec = weight_spec(as, buf_str(&name));
	buf_release(&name);
	return spec;
}

/* Rows of a table that are not used stand in front of the others, and a GGUF may be without them. */
static void leave_unused(const struct export_gguf_list *l, struct export_tensor *t)
{
	int64_t rows = config_value(&l->as, t->spec->shape, strcspn(t->spec->shape, ","));

	if ((t->spec->flags & WEIGHT_EMBED) && rows > 0 && (size_t)rows < t->dim[0]) {
		t->skip = t->dim[0] - (size_t)rows;
		t->dim[0] = (size_t)rows;
	}
}

static int describe(struct export_gguf_list *l, struct export_tensor *t, const struct weight *w, size_t i, size_t n,
                    struct err *e)
{
	const struct model *m = l->model;
	const struct weight_spec *spec = spec_of(l, w);

	*t = (struct export_tensor){ .spec = spec, .weight = (int)i, .n = (int)n, .n_dims = w->n_dims };
	if (!spec || !spec->gguf)
		return err_set(e, "%s: GGUF has no name for the weight %s of %s", m->source.path, w->name,
		               m->config.arch->name);
	t->name = weight_name(&l->mem, spec->gguf, w->layer, w->expert);
	memcpy(t->dim, w->dim, sizeof(t->dim));
	if (!m->source.is_gguf)
		leave_unused(l, t);
	if (n > 1 || w->expert >= 0) {
		t->n_dims = 3;
		t->dim[2] = w->dim[1];
		t->dim[1] = w->dim[0];
		t->dim[0] = n;
	}
	if (w->n_dims == 1 && w->spec->fused) { /* of all experts, a row each */
		t->n_dims = 2;
		t->dim[0] = (size_t)config_value(&m->config, "E", 1);
		t->dim[1] = w->dim[0] / t->dim[0];
	}
	t->plain = is_plain(t);
	t->stored = stored_as(w);
	t->as_is = m->source.is_gguf && l->weights->get == export_own;
	export_gguf_store(t, t->stored);
	return 0;
}

/* How many weights from i on are one tensor: experts beside each other. */
static size_t beside(const struct model *m, size_t i)
{
	const struct weight *w = &m->weights[i];
	size_t n = 1;

	while (w->expert >= 0 && i + n < m->n_weights && m->weights[i + n].spec == w->spec &&
	       m->weights[i + n].layer == w->layer)
		n++;
	return n;
}

/* GGUF's encoders are without a head of masked tokens. */
static bool is_left_out(const struct weight *w)
{
	return (w->spec->flags & WEIGHT_OF_HEAD) && !(w->spec->flags & WEIGHT_OF_CLASSIFIER);
}

static int add_weights(struct export_gguf_list *l, struct err *e)
{
	const struct model *m = l->model;

	for (size_t i = 0, n; i < m->n_weights; i += n) {
		n = beside(m, i);
		if (m->config.arch->encoder && is_left_out(&m->weights[i]))
			continue;
		if (describe(l, &l->tensor[l->n++], &m->weights[i], i, n, e) < 0)
			return -1;
	}
	if (!l->weights->head)
		return 0;
	struct weight head = model_tied_head(m);
	if (describe(l, &l->tensor[l->n], &head, m->n_weights, 1, e) < 0)
		return -1;
	l->tensor[l->n++].as_is = false;
	return 0;
}

/* Divisors of angles: made from a folder's facts, or a file's own. */
static int add_positions(struct export_gguf_list *l, struct err *e)
{
	const struct config *c = &l->as;
	struct rope_divisors *d = arena_array(&l->mem, 2, sizeof(*d));
	int n = c->rope.dims > 0 ? rope_divisors(d, &c->rope_scaling, &c->rope, c->rope_theta) : 0;

	for (int i = 0; i < n; i++) {
		if (!weight_spec(c->arch, d[i].name))
			return err_set(e, "%s: GGUF's files of %s have no word for its rotary positions",
			               l->model->source.path, c->arch->name);
		l->tensor[l->n++] = (struct export_tensor){ .name = d[i].name, .weight = -1, .n_dims = 1,
			                                    .dim = { (size_t)c->rope.dims / 2 }, .plain = true,
			                                    .dtype = DTYPE_F32, .kept = d[i].x };
	}
	return 0;
}

static bool is_listed(const struct export_gguf_list *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (!strcmp(l->tensor[i].name, name))
			return true;
	return false;
}

/* Tensors of a GGUF that are no weights stay: those that a table ignores. */
static void add_kept(struct export_gguf_list *l)
{
	const struct model *m = l->model;

	for (const struct weight_spec *s = m->config.arch->weights; s->hf; s++) {
		struct source_tensor t;
		for (int layer = 0; s->gguf && (s->flags & WEIGHT_IGNORED) && layer < m->config.n_layers; layer++) {
			const char *name = weight_name(&l->mem, s->gguf, layer, 0);
			if (is_listed(l, name) || source_find(&m->source, name, &t))
				continue;
			struct export_tensor *to = &l->tensor[l->n++];
			*to = (struct export_tensor){ .name = name, .weight = -1, .n_dims = t.n_dims, .plain = true,
				                      .dtype = t.dtype, .kept = t.data };
			memcpy(to->dim, t.dim, sizeof(to->dim));
		}
	}
}

static int take_facts(struct export_gguf_list *l, struct err *e)
{
	const struct model *m = l->model;
	const struct config *c = &m->config;

	l->as = *c;
	if (c->arch->to_gguf)
		return c->arch->to_gguf(c, &l->as, &l->mem, m->source.path, e);
	return c->arch->gguf ? 0 : err_set(e, "%s: GGUF has no architecture for %s", m->source.path, c->arch->name);
}

int export_gguf_list(struct export_gguf_list *l, const struct model *m, const struct export_weights *weights,
                     struct err *e)
{
	size_t most = m->n_weights + 3;

	*l = (struct export_gguf_list){ .model = m, .weights = weights };
	for (const struct weight_spec *s = m->config.arch->weights; s->hf; s++)
		most += s->flags & WEIGHT_IGNORED ? (size_t)m->config.n_layers : 0;
	l->tensor = arena_array(&l->mem, most, sizeof(*l->tensor));
	int status = m->source.is_gguf && m->n_new ?
	                     err_set(e, "new tokens of a GGUF have no place in the metadata that are copied from it: "
	                                "written is a folder, which kungfu convert makes a GGUF of") :
	                     take_facts(l, e);
	if (status == 0)
		status = add_weights(l, e);
	if (status == 0 && m->source.is_gguf)
		add_kept(l);
	else if (status == 0)
		status = add_positions(l, e);
	if (status < 0)
		export_gguf_release(l);
	return status;
}

void export_gguf_release(struct export_gguf_list *l)
{
	arena_release(&l->mem);
	*l = (struct export_gguf_list){ 0 };
}

/* --- sizes --- */

static size_t rows_of(const struct export_tensor *t) { return t->n_dims == 1 ? 1 : t->dim[t->n_dims - 2]; }

static size_t expert_bytes(const struct export_tensor *t, enum dtype dtype)
{
	return rows_of(t) * t->dim[t->n_dims - 1] / dtypes[dtype].block * dtypes[dtype].bytes;
}

static size_t stored_bytes(const struct export_tensor *t)
{
	return expert_bytes(t, t->dtype) * (t->n_dims == 3 ? t->dim[0] : 1);
}

size_t export_gguf_bytes(const struct export_gguf_list *l)
{
	size_t bytes = 0;

	for (size_t i = 0; i < l->n; i++)
		bytes += stored_bytes(&l->tensor[i]);
	return bytes;
}

static size_t largest(const struct export_gguf_list *l)
{
	size_t bytes = 1;

	for (size_t i = 0; i < l->n; i++)
		bytes = MAX(bytes, expert_bytes(&l->tensor[i], l->tensor[i].dtype));
	return bytes;
}

size_t export_gguf_scratch(const struct export_gguf_list *l) { return export_scratch(l->model) + largest(l); }

/* --- metadata --- */

/* llama.cpp's llama_ftype of a file that is all, or mostly, of one type. */
static int file_type_of(const struct export_gguf_list *l)
{
	static const struct { enum dtype dtype; int type; } types[] = {
		{ DTYPE_F32, 0 },  { DTYPE_F16, 1 },  { DTYPE_BF16, 32 }, { DTYPE_Q4_0, 2 },  { DTYPE_Q4_1, 3 },
		{ DTYPE_Q8_0, 7 }, { DTYPE_Q5_0, 8 }, { DTYPE_Q5_1, 9 },  { DTYPE_Q4_K, 15 }, { DTYPE_Q5_K, 17 },
		{ DTYPE_Q6_K, 18 },
	};
	size_t bytes[DTYPE_COUNT] = { 0 };
	int most = 0;

	for (size_t i = 0; i < l->n; i++)
		if (!l->tensor[i].plain)
			bytes[l->tensor[i].dtype] += stored_bytes(&l->tensor[i]);
	for (size_t k = 1; k < ARRAY_LEN(types); k++)
		most = bytes[types[k].dtype] > bytes[types[most].dtype] ? (int)k : most;
	return types[most].type;
}

/* What belongs to a file's own form. */
static bool is_of_form(const char *key)
{
	return !strcmp(key, "general.file_type") || !strcmp(key, "general.alignment") ||
	       !strcmp(key, "general.quantization_version") || !strncmp(key, "split.", 6);
}

static void put_name(struct gguf_meta *meta, const struct source *s)
{
	const char *end = s->path + strlen(s->path);

	while (end > s->path && end[-1] == '/')
		end--;
	const char *begin = end;
	while (begin > s->path && begin[-1] != '/')
		begin--;
	char *name = mem_printf("%.*s", (int)(end - begin), begin);
	if (*name && strcmp(name, ".") && strcmp(name, ".."))
		gguf_put_str(meta, "general.name", name);
	mem_free(name);
}

/* What generation_config.json says of sampling, by llama.cpp's names. */
static void put_sampling(struct gguf_meta *meta, const json_t *config)
{
	bool draws = !json_is_false(json_object_get(config, "do_sample"));

	for (size_t i = 0; i < EXPORT_WISHES; i++) {
		const struct export_wish *w = &export_wishes[i];
		const json_t *x = json_object_get(config, w->json);
		if (!json_is_number(x) || (w->draws && !draws))
			continue;
		if (w->whole)
			gguf_put_i32(meta, w->gguf, (int32_t)json_number_value(x));
		else
			gguf_put_f32(meta, w->gguf, (float)json_number_value(x));
	}
}

static void add_end(struct tokens *out, const json_t *id)
{
	bool known = !json_is_integer(id);

	for (size_t i = 0; i < out->n && !known; i++)
		known = out->id[i] == json_integer_value(id);
	if (!known)
		tokens_add(out, (int32_t)json_integer_value(id));
}

static void add_ends(struct tokens *out, const json_t *config)
{
	const json_t *v = json_object_get(config, "eos_token_id"), *item;
	size_t i;

	add_end(out, v);
	json_array_foreach(v, i, item)
		add_end(out, item);
}

static int put_tokenizer(const struct model *m, struct gguf_meta *meta, struct err *e)
{
	struct tokens ends = { 0 };

	add_ends(&ends, m->source.generation_config);
	add_ends(&ends, m->source.config);
	int status = tokenizer_put_gguf(m->tokenizer, meta, (size_t)m->config.V, &ends, m->source.path, e);
	tokens_release(&ends);
	return status;
}

/* How many kinds of tokens an encoder tells apart, which llama.cpp wants to know of one. */
static void put_types(const struct export_gguf_list *l, struct gguf_meta *meta)
{
	size_t n = 1;

	for (size_t i = 0; i < l->n; i++)
		n = strcmp(l->tensor[i].name, "token_types.weight") ? n : l->tensor[i].dim[0];
	if (l->as.arch->encoder)
		gguf_put_u32(meta, "tokenizer.ggml.token_type_count", (uint32_t)n);
}

static int make_meta(const struct export_gguf_list *l, struct gguf_meta *meta, const struct export_gguf *how,
                     struct err *e)
{
	const struct model *m = l->model;
	const struct gguf *g = &m->source.gguf;

	for (size_t i = 0; m->source.is_gguf && i < g->n_kv; i++)
		if (!is_of_form(g->kv[i].key) && !(how->pack && quantize_is_key(g->kv[i].key)))
			gguf_put_kv(meta, &g->kv[i]);
	if (!m->source.is_gguf) {
		gguf_put_str(meta, "general.architecture", l->as.arch->gguf);
		gguf_put_str(meta, "general.type", "model");
		put_name(meta, &m->source);
		put_sampling(meta, m->source.generation_config);
		config_put_gguf(meta, &l->as);
		put_types(l, meta);
		if (put_tokenizer(m, meta, e) < 0)
			return -1;
	}
	gguf_put_u32(meta, "general.file_type",
	             (uint32_t)(how->file_type >= 0 ? how->file_type : file_type_of(l)));
	gguf_put_u32(meta, "general.quantization_version", GGUF_QUANTIZATION_VERSION);
	if (how->keys)
		how->keys(how->ctx, meta);
	return 0;
}

static void describe_gguf(const struct export_gguf_list *l, struct gguf_tensor *out)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct export_tensor *t = &l->tensor[i];
		out[i] = (struct gguf_tensor){ .name = t->name, .dtype = t->dtype, .n_dims = t->n_dims,
			                       .bytes = stored_bytes(t), .data = t->kept };
		for (int d = 0; d < t->n_dims; d++)
			out[i].dim[d] = t->dim[t->n_dims - 1 - d];
	}
}

/* Reads what is about to be written: it must be the same model with the same text. */
static int check(const struct export_gguf_list *l, const struct gguf_meta *meta, struct gguf_tensor *t, struct err *e)
{
	const struct model *m = l->model;
	struct buf bytes = BUF_INIT;
	struct gguf g;
	struct arena own = ARENA_INIT;
	int status = gguf_preview(&g, &bytes, meta, t, l->n, m->source.path, e);

	if (status == 0) {
		struct config again = { .arch = l->as.arch, .own = arena_alloc(&own, l->as.arch->own_bytes + 1) };
		status = config_read(&again, &(struct config_source){ .gguf = &g, .where = m->source.path }, e);
		if (status == 0)
			status = config_check_alike(&l->as, &again, m->source.path, e);
		if (status == 0)
			status = tokenizer_check_gguf(m->tokenizer, &g, m->source.path, e);
		gguf_close(&g);
	}
	buf_release(&bytes);
	arena_release(&own);
	return status;
}

/* --- bytes --- */

enum { SLICE = 1 << 22 }; /* bytes between two looks for a wish to stop */

struct writing {
	const struct export_gguf_list *l;
	const struct export_gguf *how;
	struct io_writer io;
	float *numbers;
	void *packed;
};

static const struct weight *weight_of(const struct export_gguf_list *l, const struct export_tensor *t, int expert,
                                      struct weight *head)
{
	if ((size_t)t->weight < l->model->n_weights)
		return &l->model->weights[t->weight + expert];
	*head = model_tied_head(l->model);
	return head;
}

/* Expert `expert` of t as f32 in GGUF's order. */
static const float *numbers_of(struct writing *x, const struct export_tensor *t, int expert, const struct weight *w)
{
	const struct export_weights *get = x->l->weights;
	bool head = (size_t)t->weight == x->l->model->n_weights;
	const float *from = head ? get->head(get->ctx, x->numbers) :
	                           get->get(get->ctx, t->weight + expert, x->numbers);

	if (from != x->numbers)
		memcpy(x->numbers, from, weight_numbers(w) * sizeof(*from));
	weight_to_gguf(&x->l->as, t->spec, w, x->numbers);
	return x->numbers;
}

static int look(struct err *e) { return stop_look(e, "the weights were written"); }

static int write_bytes(struct writing *x, const uint8_t *from, size_t bytes, struct err *e)
{
	for (size_t at = 0; at < bytes; at += SLICE)
		if (look(e) < 0 || io_writer_add(&x->io, from + at, MIN((size_t)SLICE, bytes - at), e) < 0)
			return -1;
	return 0;
}

static int write_rows(struct writing *x, enum dtype dtype, const float *from, size_t rows, size_t cols, struct err *e)
{
	size_t step = MAX(SLICE / (cols * sizeof(*from)), (size_t)1);

	for (size_t row = 0; row < rows; row += step) {
		size_t n = MIN(step, rows - row);
		if (look(e) < 0)
			return -1;
		dtypes[dtype].from_float(from + row * cols, x->packed, n * cols);
		if (io_writer_add(&x->io, x->packed, n * dtype_row_bytes(dtype, cols), e) < 0)
			return -1;
	}
	return 0;
}

static int write_expert(struct writing *x, const struct export_tensor *t, int expert, struct err *e)
{
	struct weight head;
	const struct weight *w = weight_of(x->l, t, expert, &head);
	size_t bytes = expert_bytes(t, t->dtype), cols = t->dim[t->n_dims - 1], rows = rows_of(t);

	if (look(e) < 0)
		return -1;
	if (t->as_is && t->dtype == w->dtype)
		return write_bytes(x, w->data, bytes, e);
	const float *from = numbers_of(x, t, expert, w) + t->skip * cols;
	if (!x->how->pack || t->plain)
		return write_rows(x, t->dtype, from, rows, cols, e);
	if (x->how->pack(x->how->ctx, t, expert, from, rows, cols, x->packed, e) < 0)
		return -1;
	return write_bytes(x, x->packed, bytes, e);
}

static int write_tensors(struct writing *x, const struct gguf_tensor *g, struct err *e)
{
	for (size_t i = 0; i < x->l->n; i++) {
		const struct export_tensor *t = &x->l->tensor[i];
		if (t->kept && io_writer_add(&x->io, t->kept, stored_bytes(t), e) < 0)
			return -1;
		for (int k = 0; !t->kept && k < t->n; k++)
			if (write_expert(x, t, k, e) < 0)
				return -1;
		if (gguf_writer_pad(&x->io, &g[i], e) < 0)
			return -1;
	}
	return 0;
}

static int write_file(const struct export_gguf_list *l, const char *path, const struct gguf_meta *meta,
                      const struct gguf_tensor *t, const struct export_gguf *how, struct err *e)
{
	struct writing x = { .l = l, .how = how };
	void *numbers;
	int status = -1;

	if (mem_map(&numbers, export_scratch(l->model), "a weight to be written", e) < 0)
		return -1;
	x.numbers = numbers;
	if (mem_map(&x.packed, largest(l), "a weight to be written", e) == 0) {
		status = gguf_writer_open(&x.io, path, meta, t, l->n, e);
		if (status == 0) {
			status = write_tensors(&x, t, e);
			status = io_writer_end(&x.io, status, e);
		}
		mem_unmap(x.packed, largest(l));
	}
	mem_unmap(numbers, export_scratch(l->model));
	return status;
}

/* Every dtype that is asked for can be made here, or the caller makes it. */
static int check_dtypes(const struct export_gguf_list *l, const struct export_gguf *how, struct err *e)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct export_tensor *t = &l->tensor[i];
		if (t->kept || (t->as_is && t->dtype == t->stored) || dtypes[t->dtype].from_float ||
		    (how->pack && !t->plain))
			continue;
		return err_set(e, "%s would be written as %s, which is only read", t->name, dtypes[t->dtype].name);
	}
	return 0;
}

/* All that is written before the numbers; path NULL: of no file. */
static int make_header(const struct export_gguf_list *l, const char *path, const struct export_gguf *how,
                       struct gguf_meta *meta, struct gguf_tensor *t, struct err *e)
{
	describe_gguf(l, t);
	if (check_dtypes(l, how, e) < 0 ||
	    (path && io_need_space(path, export_gguf_bytes(l), "the model", e) < 0) || make_meta(l, meta, how, e) < 0)
		return -1;
	return l->model->source.is_gguf ? 0 : check(l, meta, t, e);
}

int export_gguf_check(const struct export_gguf_list *l, const struct export_gguf *how, struct err *e)
{
	struct gguf_meta meta = { 0 };
	struct gguf_tensor *t = mem_array(l->n, sizeof(*t));
	int status = make_header(l, NULL, how, &meta, t, e);

	buf_release(&meta.bytes);
	mem_free(t);
	return status;
}

int export_gguf_write(const struct export_gguf_list *l, const char *path, const struct export_gguf *how,
                      struct err *e)
{
	struct gguf_meta meta = { 0 };
	struct gguf_tensor *t = mem_array(l->n, sizeof(*t));
	int status = make_header(l, path, how, &meta, t, e);

	if (status == 0)
		status = write_file(l, path, &meta, t, how, e);
	buf_release(&meta.bytes);
	mem_free(t);
	return status;
}
