/* trainer_qat: --qat TYPE: what is trained is trained for the file of that type that it becomes.
 *
 *     forward     y = x·Qᵀ,  Q = from blocks(to blocks(W)), the blocks that `quantize --to TYPE` writes of W, by the
 *                 encoder that writes them; W: what is trained, or of LoRA W + s·B·A
 *     backward    dW = dQ, as if Q were W (straight-through, Bengio et al. 2013; Jacob et al. 2018)
 *
 * Q is made anew after each update, in f32, in memory that the plan counts, and stands for W wherever a forward reads
 * it (overlay.stored): steps, evaluations, answers, what is forgotten. Products with blocks have the bits of products
 * with their numbers in f32, so a forward of what is trained is that of the file, bit for bit, in the same
 * arithmetic. Which tensors become blocks, and which, is the mixture's affair (format/quant_mix.h), as quantize has it:
 * norms, biases and routers stay, rows that a block does not divide have another type. What the file has in F16 is
 * rounded to that, and a norm of which files hold another number (Gemma's) goes through that.
 *
 * Before step --qat-start-step, Q is W. Scales are no parameters: the encoder takes them from the numbers of a block,
 * so they learn with those; unless --qat-range-learning makes them some (trainer_ranges.c). */
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "base/clock.h"
#include "infer/embed_settings.h"
#include "model/resident.h"
#include "model/weights.h"
#include "quant/quantize.h"
#include "quant/ranges.h"
#include "train/run_dir.h"
#include "train/trainer_parts.h"

enum { NUMBERS_EACH = 1 << 14, TRIED_ROWS = 64 };

/* --- what becomes what --- */

/* The numbers that are written: what is trained, in Hugging Face's order. */
static const float *final_latent(void *ctx, int i, float *scratch)
{
	struct trainer *t = ctx;
	const struct overlay *o = t->qat.overlay;

	if (t->has_adapter) {
		qat_latent(t, i, scratch);
		if (weight_is_converted(t->model, i))
			weight_convert(t->model, i, scratch, true);
		return scratch;
	}
	struct export_trained trained = { .model = t->model, .params = &o->params, .param = o->replaced };
	return export_from_params(&trained, i, scratch);
}

static void make_wish(struct trainer *t, const struct quant_mix *mixture)
{
	struct qat *q = &t->qat;

	quantize_model_wish(&q->wish, mixture, t->recipe.qat_imatrix != NULL, t->model);
	q->how = (struct quantize_how){ .wish = &q->wish, .imatrix = t->recipe.qat_imatrix ? &q->imatrix : NULL,
		                        .imatrix_path = t->recipe.qat_imatrix, .allow_requantize = true };
}

static int check_site(const struct trainer *t, const struct adapter_factors *f, struct err *e)
{
	const struct weight *w = weight_or_head(t->model, f->weight);

	if (f->weight < (int)t->model->n_weights && (w->spec->flags & WEIGHT_LINEAR) && w->n_dims == 2 &&
	    !(w->spec->flags & WEIGHT_HEAD) && w->expert < 0)
		return 0;
	return err_set(e, "--qat with --method lora is of adapters of the blocks' linears: %s is none, which "
	                  "--target-modules means", w->name);
}

static int check_adapter(struct trainer *t, struct err *e)
{
	struct qat *q = &t->qat;
	const struct adapter *a = &t->adapter;

	if (a->no_pairs || a->no_merge || a->parent || overlays_unshared(&a->overlay))
		return err_set(e, "--qat with --method lora wants pairs of low rank alone, without dropout: %s",
		               a->no_pairs ? a->no_pairs : a->no_merge ? a->no_merge :
		               a->parent   ? "there is another adapter under it" : "it has dropout");
	for (size_t i = 0; i < t->model->n_weights; i++)
		if (a->overlay.replaced[i] >= 0 || a->overlay.base[i])
			return err_set(e, "--qat with --method lora wants pairs of low rank alone, and %s is trained "
			                  "whole beside them: --method full does that", t->model->weights[i].name);
	q->pairs = arena_array(&q->mem, t->model->n_weights + 1, sizeof(*q->pairs));
	q->n_pairs = a->type->pairs(a, q->pairs);
	for (size_t i = 0; i < q->n_pairs; i++)
		if (check_site(t, &q->pairs[i], e) < 0)
			return -1;
	return 0;
}

/* Blocks are written with the scales that were learnt. */
static int put_scales(void *ctx, const struct export_tensor *x, int expert, struct quantize_matrix *m, struct err *e)
{
	const struct trainer *t = ctx;
	(void)e;

	if (x->weight >= 0 && (size_t)x->weight < t->model->n_weights)
		m->scales = ranges_at(t, x->weight + expert);
	return 0;
}

static void put_keys(void *ctx, struct gguf_meta *meta)
{
	embed_settings_put_gguf(((const struct trainer *)ctx)->model, meta);
}

/* That there can be such a file is known before anything is trained. */
static int list_tensors(struct trainer *t, struct err *e)
{
	struct qat *q = &t->qat;
	const struct quant_mix *mixture = quant_mix_find(t->recipe.qat, e);

	if (!mixture)
		return -1;
	if (t->recipe.qat_imatrix && imatrix_open(&q->imatrix, t->recipe.qat_imatrix, e) < 0)
		return err_prefix(e, "--qat-imatrix");
	make_wish(t, mixture);
	q->weights = (struct export_weights){ .get = final_latent, .ctx = t };
	if (quantize_model_list(&q->file, t->model, &q->weights, true, &q->how, e) < 0)
		return err_prefix(e, "--qat %s", t->recipe.qat);
	q->listed = true;
	q->file.keys = put_keys;
	q->file.rounding = put_scales;
	q->file.ctx = t;
	return quantize_model_check(&q->file, e) < 0 ? err_prefix(e, "--qat %s", t->recipe.qat) : 0;
}

/* Which rows' numbers change on their way to the file and back. */
static bool changes(const struct qat *q, const struct weight *w, int i)
{
	return q->to[i] != DTYPE_F32 || (w->spec->flags & WEIGHT_PLUS_ONE);
}

static void place(struct trainer *t)
{
	struct qat *q = &t->qat;
	size_t n = t->model->n_weights;

	q->to = arena_array(&q->mem, n, sizeof(*q->to));
	q->columns = arena_array(&q->mem, n, sizeof(*q->columns));
	for (size_t i = 0; i < n; i++)
		q->to[i] = DTYPE_F32;
	for (size_t k = 0; k < q->file.list.n; k++) {
		const struct quant_mix_tensor *to = &q->file.list.t[k];
		const struct export_tensor *x = &q->file.export.tensor[to->index];
		for (int j = 0; x->spec && !x->plain && j < x->n; j++) {
			size_t cols = x->dim[x->n_dims - 1];
			q->to[x->weight + j] = to->to;
			q->columns[x->weight + j] = quantize_weights(&q->how, x->name, cols, (size_t)j);
			q->widest = MAX(q->widest, cols);
		}
	}
	for (size_t i = 0; i < n; i++)
		if (changes(q, &t->model->weights[i], (int)i)) {
			q->numbers += ROUND_UP(weight_numbers(&t->model->weights[i]), (size_t)16);
			q->widest = MAX(q->widest, t->model->weights[i].dim[t->model->weights[i].n_dims - 1]);
		}
}

size_t qat_bytes(const struct trainer *t)
{
	const struct qat *q = &t->qat;

	return q->overlay ? q->numbers * sizeof(float) + 2 * q->widest * sizeof(float) *
	                                                         (size_t)pool_threads(t->pool) : 0;
}

/* Addresses are known when forwards are recorded; the memory is touched at the start. */
static int reserve(struct trainer *t, struct err *e)
{
	struct qat *q = &t->qat;
	void *memory;
	size_t at = 0;

	if (mem_map(&memory, qat_bytes(t), "the weights as the file has them", e) < 0)
		return -1;
	q->memory = memory;
	q->rows = q->memory + q->numbers;
	q->stored = arena_array(&q->mem, t->model->n_weights, sizeof(*q->stored));
	for (size_t i = 0; i < t->model->n_weights; i++)
		if (changes(q, &t->model->weights[i], (int)i)) {
			q->stored[i] = q->memory + at;
			at += ROUND_UP(weight_numbers(&t->model->weights[i]), (size_t)16);
		}
	q->overlay->stored = q->stored;
	return 0;
}

int qat_open(struct trainer *t, struct err *e)
{
	struct qat *q = &t->qat;

	if (!t->recipe.qat)
		return 0;
	q->overlay = t->overlay;
	if ((t->has_adapter && check_adapter(t, e) < 0) || list_tensors(t, e) < 0)
		return -1;
	place(t);
	return reserve(t, e) < 0 ? -1 : ranges_open(t, e);
}

void qat_release(struct trainer *t)
{
	struct qat *q = &t->qat;

	if (q->range)
		overlay_release(&q->ranges);
	if (q->memory)
		mem_unmap(q->memory, qat_bytes(t));
	if (q->listed)
		quantize_model_release(&q->file);
	imatrix_close(&q->imatrix);
	arena_release(&q->mem);
	*q = (struct qat){ 0 };
}

/* --- the numbers --- */

struct rows_work {
	const struct trainer *t;
	int weight;
	size_t cols, rows, each;
	const float *a, *b;            /* of LoRA: A [r][cols], B [rows][r]; NULL: nothing is added */
	size_t r;
	float scale;
	float *out;                    /* [rows][cols] */
	bool blocks;                   /* they go through the file's type; else they are what is trained */
};

/* What is trained of a row, as the model's file orders rows. */
static void latent_row(const struct rows_work *w, size_t row, float *x)
{
	const struct trainer *t = w->t;
	const struct overlay *o = t->qat.overlay;
	const struct weight *of = &t->model->weights[w->weight];

	if (o->replaced[w->weight] >= 0)
		memcpy(x, o->params.w + o->params.items[o->replaced[w->weight]].offset + row * w->cols,
		       w->cols * sizeof(*x));
	else
		dtypes[of->dtype].to_float((const char *)of->data + row * (of->bytes / w->rows), x, w->cols);
	for (size_t k = 0; k < w->r; k++)
		t->kernels->axpy(x, w->scale * w->b[row * w->r + k], w->a + k * w->cols, w->cols);
}

static bool all_finite(const float *x, size_t n)
{
	float sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += x[i] * 0;
	return sum == 0;
}

/* To the file's form and back. Threads keep denormals while they encode, as quantize's do; decode as forwards do. */
static void through_file(const struct rows_work *w, float *x, const float *scale, uint8_t *packed)
{
	const struct qat *q = &w->t->qat;
	enum dtype to = q->to[w->weight];
	unsigned long state = float_state();

	if (to == DTYPE_F32) {
		for (size_t k = 0; k < w->cols; k++)
			x[k] = (x[k] - 1.0F) + 1.0F;
		return;
	}
	if (!all_finite(x, w->cols)) /* the loss will say so */
		return;
	if (scale) {
		ranges_round(to, x, scale, w->cols, x);
		return;
	}
	float_keep_denormals();
	quantize_row(to, x, w->cols, q->columns[w->weight], packed);
	float_restore(state);
	dtypes[to].to_float(packed, x, w->cols);
}

static void rows_run(void *ctx, size_t item, int thread)
{
	const struct rows_work *w = ctx;
	uint8_t *packed = (uint8_t *)(w->t->qat.rows + (size_t)thread * 2 * w->t->qat.widest);
	size_t end = MIN(w->rows, (item + 1) * w->each);
	const float *scale = ranges_at(w->t, w->weight);

	for (size_t i = item * w->each; i < end; i++) {
		float *x = w->out + i * w->cols;
		latent_row(w, i, x);
		if (w->blocks)
			through_file(w, x, scale ? scale + i * (w->cols / RANGE_BLOCK) : NULL, packed);
	}
}

static struct rows_work work_of(const struct trainer *t, int i, float *out, bool blocks)
{
	const struct weight *of = &t->model->weights[i];
	const struct adapter_factors *f = adapter_pair_of(t->qat.pairs, t->qat.n_pairs, i);
	const struct params *p = &t->qat.overlay->params;
	struct rows_work w = { .t = t, .weight = i, .cols = of->dim[of->n_dims - 1], .out = out, .blocks = blocks };

	w.rows = weight_numbers(of) / w.cols;
	w.each = MAX(NUMBERS_EACH / w.cols, (size_t)1);
	if (f) {
		w.a = p->w + p->items[f->a].offset;
		w.b = p->w + p->items[f->b].offset;
		w.r = f->r;
		w.scale = (float)f->scale;
	}
	return w;
}

void qat_latent(struct trainer *t, int i, float *out)
{
	struct rows_work w = work_of(t, i, out, false);

	pool_run(t->pool, (w.rows + w.each - 1) / w.each, rows_run, &w);
}

/* Whether a weight's numbers follow what is trained; the others are made once. */
static bool is_moved(const struct trainer *t, int i)
{
	return t->qat.overlay->replaced[i] >= 0 || adapter_pair_of(t->qat.pairs, t->qat.n_pairs, i);
}

void qat_follow(struct trainer *t, long done)
{
	struct qat *q = &t->qat;
	bool on = done + 1 >= t->recipe.qat_start_step;

	if (!q->overlay)
		return;
	if (q->range && done + 1 == MAX(t->recipe.qat_start_step, 1))
		ranges_begin(t, done == 0);
	for (size_t i = 0; i < t->model->n_weights; i++) {
		if (!q->stored[i] || (!is_moved(t, (int)i) && q->made && q->on == on))
			continue;
		struct rows_work w = work_of(t, (int)i, q->stored[i], on);
		pool_run(t->pool, (w.rows + w.each - 1) / w.each, rows_run, &w);
	}
	q->made = true;
	q->on = on;
}

int qat_begin(struct trainer *t, struct err *e)
{
	if (!t->qat.overlay)
		return 0;
	if (t->recipe.qat_start_step > t->schedule.steps)
		return err_set(e, "--qat-start-step %lld: the run has %ld steps, none of which would be trained for %s",
		               (long long)t->recipe.qat_start_step, t->schedule.steps, t->recipe.qat);
	mem_touch(t->qat.memory, qat_bytes(t));
	qat_follow(t, t->step);
	model_forget(t->model);
	return 0;
}

/* --- its time --- */

/* Seconds of a step's: a few rows of each type. */
int qat_seconds(const struct trainer *t, double *seconds, struct err *e)
{
	const struct qat *q = &t->qat;
	double numbers[DTYPE_COUNT] = { 0 };
	int of[DTYPE_COUNT];

	*seconds = 0;
	for (size_t i = 0; q->overlay && i < t->model->n_weights; i++)
		if (q->stored[i] && is_moved(t, (int)i)) {
			numbers[q->to[i]] += (double)weight_numbers(&t->model->weights[i]);
			of[q->to[i]] = (int)i;
		}
	for (int d = 0; d < DTYPE_COUNT; d++) {
		if (numbers[d] == 0)
			continue;
		const struct weight *w = &t->model->weights[of[d]];
		size_t cols = w->dim[w->n_dims - 1], rows = MIN(weight_numbers(w) / cols, (size_t)TRIED_ROWS);
		float *x = mem_array(rows * cols, sizeof(*x));
		struct rows_work some = work_of(t, of[d], x, true);
		some.rows = rows;
		double begin = clock_seconds();
		bool all = pool_try(t->pool, (rows + some.each - 1) / some.each, rows_run, &some);
		*seconds += (clock_seconds() - begin) * numbers[d] / (double)(rows * cols);
		mem_free(x);
		if (!all)
			return err_set(e, "interrupted while the run was planned");
	}
	return 0;
}

/* --- the result --- */

int qat_save(struct trainer *t, const char *dir, struct err *e)
{
	char *path = io_join(dir, QAT_FILE);

	int status = quantize_model_write(&t->qat.file, path, t->pool, e);
	mem_free(path);
	return status;
}

/* --- what does not go with it --- */

int qat_check(const struct recipe *r, struct err *e)
{
	const struct quant_mix *mixture = r->qat ? quant_mix_find(r->qat, e) : NULL;
	const char *with = r->config ? "a model from nothing" : r->four_bit.on ? "--load-in-4bit" :
	                   r->new_adapter ? "--new-adapter" : NULL;

	if (!r->qat)
		return 0;
	if (!mixture)
		return err_prefix(e, "--qat");
	if (dtypes[mixture->dtype].block == 1)
		return err_set(e, "--qat %s: that rounds no number to blocks; q4_0, q4_k, q8_0 and mxfp4 do, as all "
		                  "that kungfu quantize writes", r->qat);
	if (method_adapter(r->method) && r->qat_range_learning)
		return err_set(e, "--qat-range-learning is of --method full: with %s there is no gradient of the "
		                  "numbers that are rounded", r->method);
	if (method_adapter(r->method) && strcmp(r->method, "lora") != 0)
		return err_set(e, "--qat is of --method full and lora, not %s", r->method);
	if (with)
		return err_set(e, "--qat does not go with %s", with);
	if (!strcmp(r->compute, "int8"))
		return err_set(e, "--qat computes in f32, where its forward is the file's, and --compute is int8");
	return 0;
}
