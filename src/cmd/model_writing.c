/* model_writing: the dtype is chosen, the time is tried on a few weights, then all are written. See model_writing.h. */
#include "cmd/model_writing.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/metering.h"
#include "infer/embed_settings.h"

enum { TOKEN_BYTES = 440 };            /* of a token while a tokenizer is written: its JSON in memory */
#define TRY_SECONDS 0.03               /* of trying how long the weights take */
#define QUIET_SECONDS 2                /* before progress is told */
#define WRITE_RATE 1e9                 /* bytes/s onto a disk: a plan writes nothing; past runs say better */

bool names_gguf(const char *path)
{
	size_t n = strlen(path);

	return n > 5 && !strcasecmp(path + n - 5, ".gguf");
}

int output_folder_free(const char *out, struct err *e)
{
	bool empty;

	if (names_gguf(out))
		return 0;
	if (io_exists(out) && !io_is_dir(out))
		return err_set(e, "--out %s is a file; a new folder, or a name that ends in .gguf, was wanted", out);
	if (io_dir_is_empty(out, &empty, e) < 0)
		return -1;
	return empty ? 0 : err_set(e, "--out %s is not empty", out);
}

/* What most of the matrices' bytes are stored as, if a folder can have that; else f32. */
static enum dtype stored_dtype(const struct model *m)
{
	size_t bytes[DTYPE_COUNT] = { 0 };
	enum dtype most = DTYPE_F32;

	for (size_t i = 0; i < m->n_weights; i++)
		if (m->weights[i].n_dims == 2)
			bytes[m->weights[i].dtype] += m->weights[i].bytes;
	for (int t = 0; t < DTYPE_COUNT; t++)
		if (bytes[t] > bytes[most])
			most = (enum dtype)t;
	if (most == DTYPE_F8_E4M3 || most == DTYPE_F8_E5M2)
		return DTYPE_BF16; /* which holds each of them */
	return most == DTYPE_F16 || most == DTYPE_BF16 ? most : DTYPE_F32;
}

static size_t numbers_of(const struct weight *x) { return x->n_dims == 2 ? x->dim[0] * x->dim[1] : x->dim[0]; }

/* Is it one that tells what the others take? The largest is the embedding, vectors are too small. */
static bool is_usual(const struct model *m, const struct weight *x, enum dtype dtype)
{
	size_t n = numbers_of(x);

	return x->n_dims == 2 && n * sizeof(float) < export_scratch(m) && n % dtypes[dtype].block == 0;
}

static void make_one(const struct model_writing *w, enum dtype dtype, size_t i, void *scratch, void *rounded)
{
	const float *from = w->weights->get(w->weights->ctx, (int)i, scratch);

	dtypes[dtype].from_float(from, rounded, numbers_of(&w->l->model.weights[i]));
}

/* Seconds of making all weights' numbers, by making those of a few matrices, the last first, which was made once
 * before: it may have to be fetched. */
static int time_weights(const struct model_writing *w, enum dtype dtype, double *seconds, struct err *e)
{
	const struct model *m = &w->l->model;
	double begin = 0, spent = 0, done = 0, all = 0;
	void *scratch, *rounded;

	if (mem_map(&scratch, export_scratch(m), "a weight", e) < 0)
		return -1;
	if (mem_map(&rounded, export_scratch(m), "a weight", e) < 0) {
		mem_unmap(scratch, export_scratch(m));
		return -1;
	}
	for (size_t i = m->n_weights; i-- > 0;) {
		all += (double)numbers_of(&m->weights[i]);
		if (spent > TRY_SECONDS || !is_usual(m, &m->weights[i], dtype))
			continue;
		if (done == 0)
			make_one(w, dtype, i, scratch, rounded);
		begin = clock_seconds();
		make_one(w, dtype, i, scratch, rounded);
		spent += clock_seconds() - begin;
		done += (double)numbers_of(&m->weights[i]);
	}
	*seconds = done > 0 ? spent * all / done : 0;
	mem_unmap(scratch, export_scratch(m));
	mem_unmap(rounded, export_scratch(m));
	return 0;
}

static int plan(struct app *app, const struct model_writing *w, enum dtype dtype, size_t scratch, struct err *e)
{
	const struct model *m = &w->l->model;
	struct predicted p;
	double seconds, writing = (double)w->bytes / WRITE_RATE;

	if (time_weights(w, dtype, &seconds, e) < 0)
		return -1;
	predict_begin(&p, "%s %s", w->what, dtypes[dtype].name);
	double pages = loaded_predict(w->l, &p, &(struct model_reads){ .token = NULL }, scratch, 0,
	                              "one weight as f32");
	if (w->more)
		predict_part(&p, "others", (double)w->more, "what is read of other models");
	if (m->source.is_gguf && !names_gguf(w->out))
		predict_part(&p, "tokenizer", (double)m->config.V * TOKEN_BYTES, "written as tokenizer.json");
	predict_phase(&p, "start", pages);
	predict_phase(&p, "weights", seconds);
	predict_phase(&p, "writing", writing);
	p.loose_seconds = writing;
	if (w->besides)
		w->besides(w->ctx, &p);
	return planned(app, &p,
	               &(struct planned_options){ .facts = json_pack("{s:I}", "disk_bytes", (json_int_t)w->bytes) },
	               e);
}

static int write_folder(struct app *app, struct model_writing *w, struct err *e)
{
	const struct model *m = &w->l->model;
	enum dtype dtype = w->dtype >= 0 ? (enum dtype)w->dtype : stored_dtype(m);

	if (w->dtype < 0)
		log_say("written as %s; --dtype chooses another", dtypes[dtype].name);
	w->bytes = export_bytes(m, dtype);
	w->dtype_name = dtypes[dtype].name;
	if (m->source.is_gguf && loaded_text(w->l, e) < 0)
		return -1;
	if (dtypes[dtype].block == 1 && plan(app, w, dtype, export_scratch(m), e) < 0)
		return -1;
	metering_phase("write");
	return export_folder(m, w->out, dtype, w->watched, e);
}

static void put_keys(void *ctx, struct gguf_meta *meta) { embed_settings_put_gguf(ctx, meta); }

static int write_list(struct app *app, struct model_writing *w, struct export_gguf_list *list, struct err *e)
{
	int dtype = w->dtype >= 0 || w->as_stored ? w->dtype : (int)stored_dtype(&w->l->model);

	for (size_t i = 0; i < list->n && dtype >= 0; i++)
		export_gguf_store(&list->tensor[i], (enum dtype)dtype);
	if (w->dtype < 0 && dtype >= 0)
		log_say("written as %s; --dtype chooses another", dtypes[dtype].name);
	w->bytes = export_gguf_bytes(list);
	w->dtype_name = dtype >= 0 ? dtypes[dtype].name : "stored";
	if (plan(app, w, dtype >= 0 ? (enum dtype)dtype : DTYPE_F32, export_gguf_scratch(list), e) < 0)
		return -1;
	metering_phase("write");
	struct export_gguf how = { .file_type = -1, .keys = put_keys, .ctx = (void *)(uintptr_t)list->model };

	return export_gguf_write(list, w->out, &how, e);
}

static int write_gguf(struct app *app, struct model_writing *w, struct err *e)
{
	struct export_gguf_list list;

	if (!w->l->model.source.is_gguf && loaded_text(w->l, e) < 0)
		return -1;
	if (export_gguf_list(&list, &w->l->model, w->weights, e) < 0) /* which knows a model's own by its function */
		return -1;
	list.weights = w->watched;
	int status = write_list(app, w, &list, e);
	export_gguf_release(&list);
	return status;
}

/* --- progress --- */

struct watch {
	const struct export_weights *weights;
	const struct model *model;
	double began, done, all;               /* seconds; numbers */
};

static void tell(struct watch *w, int i)
{
	w->began = w->began > 0 ? w->began : clock_seconds();
	double seconds = clock_seconds() - w->began;
	char left[32];

	metering_tick();
	if (seconds > QUIET_SECONDS && w->done > 0) {
		double rest = seconds * fmax(w->all - w->done, 0) / w->done;
		clock_human(rest < 0.05 ? 0 : rest, left);
		log_live("writing: %.0f %%  %s left  %s", 100 * fmin(w->done / w->all, 1), left, metering_live());
	}
	w->done += (double)numbers_of(&w->model->weights[i]);
}

static const float *watched(void *ctx, int i, float *scratch)
{
	struct watch *w = ctx;

	tell(w, i);
	return w->weights->get(w->weights->ctx, i, scratch);
}

static const float *watched_head(void *ctx, float *scratch)
{
	struct watch *w = ctx;

	return w->weights->head(w->weights->ctx, scratch);
}

int model_write(struct app *app, struct model_writing *w, struct err *e)
{
	struct watch watch = { .weights = w->weights, .model = &w->l->model };
	struct export_weights weights = { watched, w->weights->head ? watched_head : NULL, &watch };

	for (size_t i = 0; i < watch.model->n_weights; i++)
		watch.all += (double)numbers_of(&watch.model->weights[i]);
	w->watched = &weights;
	int status = names_gguf(w->out) ? write_gguf(app, w, e) : write_folder(app, w, e);
	w->watched = NULL;
	log_live_end();
	return status;
}
