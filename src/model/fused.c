/* fused: see fused.h. Row r of part p of P parts with O rows each is row r·P + p of the tensor where they stand in
 * turn, else p·O + r. */
#include "model/fused.h"

#include <string.h>

#include "base/mem.h"
#include "model/config.h"
#include "model/weights.h"

enum { PIECE = 16384, BLOCK = 32, HALF = 16, MXFP4_BYTES = 17 };

static const char *const endings[] = { "", "_blocks", "_scales" };

size_t fused_row(const struct weight_fused *f, size_t row, size_t rows)
{
	return f->alternate ? row * (size_t)f->parts + (size_t)f->part : (size_t)f->part * rows + row;
}

/* --- reading --- */

static int find(const struct model *m, const struct weight *w, const char *ending, struct source_tensor *out)
{
	const char *prefix = m->config.arch->prefix;
	struct arena mem = ARENA_INIT;
	char *name = weight_name(&mem, w->spec->fused->hf, w->layer, 0);

	name = arena_printf(&mem, "%s%s", name, ending);
	int status = source_find(&m->source, name, out);
	if (status && !strncmp(name, prefix, strlen(prefix)))
		status = source_find(&m->source, name + strlen(prefix), out);
	arena_release(&mem);
	return status;
}

static int wrong(const struct model *m, const struct weight *w, const struct source_tensor *t, struct err *e)
{
	return err_set(e, "%s: the tensor %s (%s, %d dimensions, the first %zu) does not hold %s", m->source.path,
	               t->name, t->dtype_name, t->n_dims, t->dim[0], w->name);
}

static bool is_plain(const struct source_tensor *t)
{
	return t->dtype != DTYPE_COUNT && dtypes[t->dtype].to_float && dtypes[t->dtype].block == 1;
}

static int take_vector(struct model *m, struct weight *w, const struct source_tensor *t, struct err *e)
{
	const struct weight_fused *f = w->spec->fused;
	size_t n = w->dim[0], parts = (size_t)f->parts, E = (size_t)MAX(config_value(&m->config, "E", 1), 1);

	if (t->n_dims != 2 || t->dim[0] != E || t->dim[0] * t->dim[1] != n * parts || !is_plain(t))
		return wrong(m, w, t, e);
	float *all = mem_array(n * parts, sizeof(*all)), *x = arena_alloc64(&m->mem, n * sizeof(*x));
	dtypes[t->dtype].to_float(t->data, all, n * parts);
	for (size_t k = 0; k < n; k++)
		x[k] = all[k / (n / E) * (n / E) * parts + fused_row(f, k % (n / E), n / E)];
	mem_free(all);
	w->dtype = DTYPE_F32;
	w->data = x;
	w->bytes = n * sizeof(*x);
	w->owned = true;
	return 0;
}

/* The expert's rows of this part, turned or one in so many. */
static void copy_plain(const struct weight *w, const char *from, size_t size, char *to)
{
	const struct weight_fused *f = w->spec->fused;
	size_t O = w->dim[0], I = w->dim[1], all = O * (size_t)f->parts;

	for (size_t o = 0; o < O && !f->turned; o++)
		memcpy(to + o * I * size, from + fused_row(f, o, O) * I * size, I * size);
	for (size_t o0 = 0; o0 < O && f->turned; o0 += BLOCK)
		for (size_t i = 0; i < I; i++)
			for (size_t o = o0; o < MIN(o0 + BLOCK, O); o++)
				memcpy(to + (o * I + i) * size, from + (i * all + fused_row(f, o, O)) * size, size);
}

static int take_matrix(struct model *m, struct weight *w, const struct source_tensor *t, size_t experts, struct err *e)
{
	const struct weight_fused *f = w->spec->fused;
	size_t O = w->dim[0], I = w->dim[1], rows = O * (size_t)f->parts;
	size_t want[3] = { experts, f->turned ? I : rows, f->turned ? rows : I };
	const char *from = (const char *)t->data + (size_t)w->expert * (t->bytes / MAX(experts, 1));
	void *to;

	if (t->n_dims != 3 || memcmp(t->dim, want, sizeof(want)) != 0 || !is_plain(t))
		return wrong(m, w, t, e);
	size_t size = dtypes[t->dtype].bytes;
	w->dtype = t->dtype;
	w->bytes = O * I * size;
	if (!f->turned && (!f->alternate || f->parts == 1)) {
		w->data = from + (size_t)f->part * w->bytes;
		w->owned = !source_maps(&m->source, t->data);
		return 0;
	}
	if (mem_map(&to, w->bytes, w->name, e) < 0)
		return -1;
	copy_plain(w, from, size, to);
	w->data = w->copy = to;
	w->owned = true;
	return 0;
}

/* 16 bytes with neighbours in them become 16 with numbers i and i + 16. */
static void turn_block(const uint8_t *from, uint8_t scale, uint8_t *to)
{
	uint8_t number[BLOCK];

	for (size_t j = 0; j < HALF; j++) {
		number[2 * j] = from[j] & 15;
		number[2 * j + 1] = from[j] >> 4;
	}
	*to++ = scale;
	for (size_t j = 0; j < HALF; j++)
		to[j] = (uint8_t)(number[j] | number[j + HALF] << 4);
}

static int take_mxfp4(struct model *m, struct weight *w, const struct source_tensor *blocks,
                      const struct source_tensor *scales, size_t experts, struct err *e)
{
	const struct weight_fused *f = w->spec->fused;
	size_t O = w->dim[0], n = w->dim[1] / BLOCK, rows = O * (size_t)f->parts;
	size_t want[4] = { experts, rows, n, HALF };
	void *to;

	if (w->dim[1] % BLOCK || blocks->n_dims != 4 || memcmp(blocks->dim, want, sizeof(want)) != 0 ||
	    blocks->bytes != experts * rows * n * HALF)
		return wrong(m, w, blocks, e);
	if (scales->n_dims != 3 || memcmp(scales->dim, want, 3 * sizeof(*want)) != 0 ||
	    scales->bytes != experts * rows * n)
		return wrong(m, w, scales, e);
	w->dtype = DTYPE_MXFP4;
	w->bytes = O * n * MXFP4_BYTES;
	if (mem_map(&to, w->bytes, w->name, e) < 0)
		return -1;
	for (size_t o = 0; o < O; o++) {
		size_t at = ((size_t)w->expert * rows + fused_row(f, o, O)) * n;
		for (size_t b = 0; b < n; b++)
			turn_block((const uint8_t *)blocks->data + (at + b) * HALF,
			           ((const uint8_t *)scales->data)[at + b], (uint8_t *)to + (o * n + b) * MXFP4_BYTES);
	}
	w->data = w->copy = to;
	w->owned = true;
	return 0;
}

int fused_take(struct model *m, struct weight *w, struct err *e)
{
	struct source_tensor t, scales;

	if (!w->spec->fused || m->source.is_gguf)
		return 1;
	size_t experts = (size_t)weight_experts(&m->config, w->spec);
	if (find(m, w, "", &t) == 0)
		return w->n_dims == 1 ? take_vector(m, w, &t, e) : take_matrix(m, w, &t, experts, e);
	if (w->n_dims == 1 || find(m, w, "_blocks", &t))
		return 1;
	if (find(m, w, "_scales", &scales))
		return err_set(e, "%s: the tensor %s has no scales beside it", m->source.path, t.name);
	return take_mxfp4(m, w, &t, &scales, experts, e);
}

bool fused_is_named(const struct model *m, const struct weight_spec *s, const char *name)
{
	struct arena mem = ARENA_INIT;
	bool is = false;

	for (int layer = 0; s->fused && !m->source.is_gguf && layer < m->config.n_layers && !is; layer++)
		for (size_t i = 0; i < ARRAY_LEN(endings) && !is; i++) {
			const char *prefix = m->config.arch->prefix;
			const char *own = arena_printf(&mem, "%s%s", weight_name(&mem, s->fused->hf, layer, 0),
			                               endings[i]);
			is = !strcmp(own, name) ||
			     (!strncmp(own, prefix, strlen(prefix)) && !strcmp(own + strlen(prefix), name));
		}
	arena_release(&mem);
	return is;
}

/* --- writing --- */

bool fused_is_written(const struct model *m, size_t i, bool *first)
{
	const struct weight *w = &m->weights[i];
	bool is = w->spec->fused && w->spec->fused->written;

	*first = is && w->expert <= 0 && w->spec->fused->part == 0;
	return is;
}

size_t fused_parts_most(const struct model *m)
{
	int most = 1;

	for (const struct weight_spec *s = m->config.arch->weights; s->hf; s++)
		most = s->fused && s->fused->written ? MAX(most, s->fused->parts) : most;
	return (size_t)most;
}

void fused_parts(const struct model *m, size_t i, int at[FUSED_PARTS_MOST])
{
	const struct weight *w = &m->weights[i];

	for (const struct weight_spec *s = m->config.arch->weights; s->hf; s++)
		if (s->fused && !strcmp(s->fused->hf, w->spec->fused->hf))
			at[s->fused->part] = model_weight(m, s->hf, w->layer);
}

void fused_describe(struct arena *mem, struct st_tensor *t, const struct model *m, size_t i, enum dtype dtype)
{
	const struct weight *w = &m->weights[i];
	const struct weight_fused *f = w->spec->fused;
	size_t E = (size_t)config_value(&m->config, "E", 1), parts = (size_t)f->parts;

	*t = (struct st_tensor){ .name = weight_name(mem, f->hf, w->layer, 0), .dtype = dtype };
	t->n_dims = w->n_dims == 1 ? 2 : 3;
	t->dim[0] = E;
	t->dim[1] = w->n_dims == 1 ? w->dim[0] / E * parts : f->turned ? w->dim[1] : w->dim[0] * parts;
	t->dim[2] = f->turned ? w->dim[0] * parts : w->dim[1];
	t->bytes = weight_numbers(w) * parts * (w->n_dims == 1 ? 1 : E) * dtypes[dtype].bytes;
}

/* One expert's numbers of all parts, x[p] [O][I]. */
static int put_expert(const struct weight_fused *f, size_t O, size_t I, const float *const *x,
                      int (*put)(void *to, const float *x, size_t n, struct err *e), void *to, struct err *e)
{
	size_t parts = (size_t)f->parts, rows = O * parts, n = rows * I;
	float piece[PIECE];

	for (size_t first = 0, some; first < n; first += some) {
		some = MIN((size_t)PIECE, n - first);
		for (size_t k = 0; k < some; k++) {
			size_t at = first + k, row = f->turned ? at % rows : at / I, i = f->turned ? at / rows : at % I;
			size_t p = f->alternate ? row % parts : row / O, o = f->alternate ? row / parts : row % O;
			piece[k] = x[p][o * I + i];
		}
		if (put(to, piece, some, e) < 0)
			return -1;
	}
	return 0;
}

int fused_each(const struct model *m, size_t i, const float *(*get)(void *ctx, int i, float *scratch), void *ctx,
               float *scratch, int (*put)(void *to, const float *x, size_t n, struct err *e), void *to, struct err *e)
{
	const struct weight *w = &m->weights[i];
	const struct weight_fused *f = w->spec->fused;
	size_t E = (size_t)config_value(&m->config, "E", 1), size = weight_numbers(w);
	const float *x[FUSED_PARTS_MOST];
	int at[FUSED_PARTS_MOST];

	fused_parts(m, i, at);
	for (size_t expert = 0; expert < E; expert++) {
		for (int p = 0; p < f->parts && (expert == 0 || w->n_dims > 1); p++) {
			x[p] = get(ctx, at[p] + (w->n_dims > 1 ? (int)expert : 0), scratch + (size_t)p * size);
			if (!x[p]) /* e says why */
				return -1;
		}
		const float *own[FUSED_PARTS_MOST];
		for (int p = 0; p < f->parts; p++)
			own[p] = x[p] + (w->n_dims > 1 ? 0 : expert * (size / E));
		if (put_expert(f, w->n_dims > 1 ? w->dim[0] : size / E, w->n_dims > 1 ? w->dim[1] : 1, own, put, to,
		               e) < 0)
			return -1;
	}
	return 0;
}
