/* four_bit: matrix after matrix is quantized into memory of its own, and its file's pages are given back, so that the
 * peak is one matrix more. Rows are seen as Hugging Face's files have them, since blocks count through the matrix, and
 * stored where the model has them. */
#include "model/four_bit.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/human.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "model/weights.h"
#include "quant/nf4.h"

enum { ROWS_EACH = 16 };

struct work {
	const struct model *m;
	int weight;
	enum dtype form;
	const size_t *place;               /* [rows] where Hugging Face's row lies */
	struct nf4_matrix x;
	char *out;
	float *rows;                       /* [threads][2][cols] */
	double *error, *size;              /* [rows] Σ (w − q)², Σ w² */
	float *most;                       /* [rows] */
};

int four_bit_check(const struct four_bit_options *o, struct err *e)
{
	if (o->on || (!o->type && !o->nested))
		return 0;
	return err_set(e, "--bnb-4bit-%s is of --load-in-4bit, which is not there",
	               o->type ? "quant-type" : "use-double-quant");
}

static enum dtype form_of(const struct four_bit_options *o)
{
	bool nf4 = !strcmp(four_bit_type(o), "nf4");

	return nf4 ? o->nested ? DTYPE_NF4_DQ : DTYPE_NF4 : o->nested ? DTYPE_FP4_DQ : DTYPE_FP4;
}

/* --- which --- */

static bool is_router(const struct weight *w)
{
	return text_ends(w->name, ".gate.weight") || text_ends(w->name, ".router.weight") ||
	       text_ends(w->name, "shared_expert_gate.weight");
}

static bool is_meant(const struct weight *w)
{
	return (w->spec->flags & WEIGHT_LINEAR) && !(w->spec->flags & (WEIGHT_HEAD | WEIGHT_OF_CLASSIFIER)) &&
	       w->n_dims == 2 && w->expert < 0 && !w->made && !is_router(w);
}

static int check_base(const struct model *m, struct err *e)
{
	if (m->source.n_made)
		return err_set(e, "--load-in-4bit: %s is quantized already; it is for a model of floats",
		               m->source.path);
	for (size_t i = 0; i < m->n_weights; i++)
		if (is_meant(&m->weights[i]) && dtypes[m->weights[i].dtype].block > 1)
			return err_set(e, "--load-in-4bit: %s is quantized already, %s is %s; it is for a model of "
			               "floats", m->source.path, m->weights[i].name,
			               dtypes[m->weights[i].dtype].name);
	return 0;
}

/* --- a matrix --- */

static const char *row_of(const struct work *w, size_t hf)
{
	const struct weight *x = &w->m->weights[w->weight];

	return (const char *)x->data + w->place[hf] * (x->bytes / x->dim[0]);
}

static void read_row(const void *ctx, size_t row, float *out)
{
	const struct work *w = ctx;
	const struct weight *x = &w->m->weights[w->weight];

	dtypes[x->dtype].to_float(row_of(w, row), out, x->dim[1]);
}

/* Stores a row, and measures what that lost. */
static void put_row(const struct work *w, size_t hf, float *x)
{
	size_t cols = w->x.cols;
	uint8_t *to = (uint8_t *)w->out + w->place[hf] * dtype_row_bytes(w->form, cols);
	float *y = x + cols;

	nf4_put_row(w->form, &w->x, hf, to);
	read_row(w, hf, x);
	dtypes[w->form].to_float(to, y, cols);
	for (size_t i = 0; i < cols; i++) {
		double d = (double)x[i] - (double)y[i];
		w->error[hf] += d * d;
		w->size[hf] += (double)x[i] * (double)x[i];
		w->most[hf] = fmaxf(w->most[hf], fabsf(x[i] - y[i]));
	}
}

static void put_item(void *ctx, size_t item, int thread)
{
	const struct work *w = ctx;

	for (size_t row = item * ROWS_EACH; row < MIN((item + 1) * ROWS_EACH, w->x.rows); row++)
		put_row(w, row, w->rows + (size_t)thread * 2 * w->x.cols);
}

static void take(struct model *m, struct weight *w, const struct work *k, size_t bytes)
{
	struct four_bit *f = &m->four_bit;

	for (size_t i = 0; i < w->dim[0]; i++) {
		f->error += k->error[i];
		f->size += k->size[i];
		f->most = MAX(f->most, (double)k->most[i]);
	}
	if (w->copy)
		mem_unmap(w->copy, w->bytes);
	else
		source_forget(&m->source, w->data, w->bytes);
	w->data = w->copy = k->out;
	w->dtype = k->form;
	w->bytes = bytes;
	w->owned = true;
	f->matrices++;
	f->bytes += bytes;
}

static int quantize(struct model *m, size_t i, enum dtype form, struct pool *p, struct err *e)
{
	struct weight *w = &m->weights[i];
	size_t rows = w->dim[0], cols = w->dim[1], blocks = rows * cols / NF4_BLOCK,
	       bytes = rows * dtype_row_bytes(form, cols);
	struct arena mem = ARENA_INIT;
	size_t *place = arena_array(&mem, rows, sizeof(*place));
	uint8_t *q = arena_array(&mem, rows * cols / 2, 1), *code = arena_array(&mem, blocks, 1);
	float *scale = arena_array(&mem, blocks, sizeof(*scale)),
	      *nested = arena_array(&mem, blocks / NF4_NESTED + 1, sizeof(*nested));
	struct work k = { .m = m, .weight = (int)i, .form = form, .place = place,
		          .x = { .rows = rows, .cols = cols, .block = NF4_BLOCK, .q = q, .scale = scale, .code = code,
		                 .nested = nested },
		          .rows = arena_array(&mem, (size_t)pool_threads(p) * 2 * cols, sizeof(float)),
		          .error = arena_array(&mem, rows, sizeof(double)),
		          .size = arena_array(&mem, rows, sizeof(double)),
		          .most = arena_array(&mem, rows, sizeof(float)) };
	struct nf4_source from = { rows, cols, read_row, &k };
	void *out;
	int status = mem_map(&out, bytes, w->name, e);

	for (size_t r = 0; r < rows; r++)
		place[weight_hf_row(m, (int)i, r)] = r;
	k.out = out;
	if (status == 0 && nf4_quantize(form, p, &from, q, scale, code, nested, &k.x.offset) < 0) {
		mem_unmap(out, bytes);
		status = err_set(e, "%s: '%s' holds a number that is not finite", m->source.path, w->name);
	}
	if (status == 0) {
		pool_run(p, (rows + ROWS_EACH - 1) / ROWS_EACH, put_item, &k);
		take(m, w, &k, bytes);
	}
	arena_release(&mem);
	return status;
}

static void tell(const struct model *m, size_t left)
{
	const struct four_bit *f = &m->four_bit;
	char bytes[32];

	log_say("%s: %zu matrices become %s, %s of memory, %.1f %% off on the whole, computed in f32%s",
	        m->source.path, f->matrices, dtypes[m->in_4bit].name, human_bytes(f->bytes, bytes),
	        100 * four_bit_error(m),
	        left ? "; some stay as they are, their rows are no multiple of 64 numbers" : "");
}

int model_load_in_4bit(struct model *m, const struct four_bit_options *o, struct pool *p, struct err *e)
{
	enum dtype form = form_of(o);
	size_t left = 0;

	if (four_bit_check(o, e) < 0)
		return -1;
	if (!o->on)
		return 0;
	if (check_base(m, e) < 0)
		return -1;
	for (size_t i = 0; i < m->n_weights; i++) {
		if (!is_meant(&m->weights[i]))
			continue;
		if (!nf4_fits(form, m->weights[i].dim[1]))
			left++;
		else if (quantize(m, i, form, p, e) < 0)
			return -1;
	}
	if (!m->four_bit.matrices)
		return err_set(e, "--load-in-4bit: %s has no linear whose rows are blocks of 64 numbers",
		               m->source.path);
	m->in_4bit = form;
	tell(m, left);
	return 0;
}

double four_bit_error(const struct model *m)
{
	return m->four_bit.size > 0 ? sqrt(m->four_bit.error / m->four_bit.size) : 0;
}

/* --- what it is called --- */

bool four_bit_is(const struct model *m, const struct four_bit_options *o)
{
	for (size_t i = 0; i < m->n_weights; i++)
		if (m->weights[i].dtype == form_of(o))
			return true;
	return false;
}

const char *four_bit_config(const struct model *m, struct arena *mem)
{
	if (!m->in_4bit)
		return NULL;
	json_t *j = json_pack("{s:s, s:b, s:s, s:b}", "quant_method", "bitsandbytes", "load_in_4bit", 1,
	                      "bnb_4bit_quant_type", nf4_map(m->in_4bit) == nf4_values ? "nf4" : "fp4",
	                      "bnb_4bit_use_double_quant", nf4_is_nested(m->in_4bit));
	char *line = jsonx_line(j), *kept = arena_strdup(mem, line);
	mem_free(line);
	json_decref(j);
	return kept;
}

int four_bit_parse(const char *line, const char *where, struct four_bit_options *out, struct err *e)
{
	json_t *j = jsonx_load(line, strlen(line), where, e);
	const char *type = json_string_value(json_object_get(j, "bnb_4bit_quant_type"));
	bool ok = json_is_true(json_object_get(j, "load_in_4bit")) && type &&
	          (!strcmp(type, "nf4") || !strcmp(type, "fp4"));

	if (ok)
		*out = (struct four_bit_options){ true, strcmp(type, "nf4") ? "fp4" : "nf4",
			                          json_is_true(json_object_get(j, "bnb_4bit_use_double_quant")) };
	else if (j)
		err_set(e, "%s: its metadata's quantization_config is %.100s, which is none of bitsandbytes' of 4 bits",
		        where, line);
	json_decref(j);
	return ok ? 0 : -1;
}
