/* model_writing: the dtype is chosen, the time is tried on a few weights, then all are written. See model_writing.h. */
#include "cmd/model_writing.h"

#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/metering.h"

enum { TOKEN_BYTES = 440 };            /* of a token while a tokenizer is written: its JSON in memory */
#define TRY_SECONDS 0.03               /* of trying how long the weights take */
#define WRITE_RATE 1e9                 /* bytes/s onto a disk: a plan writes nothing; past runs say better */

bool names_gguf(const char *path)
{
	size_t n = strlen(path);

	return n > 5 && !strcasecmp(path + n - 5, ".gguf");
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
	return most == DTYPE_F16 || most == DTYPE_BF16 ? most : DTYPE_F32;
}

/* Seconds of making all weights' numbers, by making those of a few, from the largest layer's end on. */
static int time_weights(const struct model_writing *w, enum dtype dtype, double *seconds, struct err *e)
{
	const struct model *m = &w->l->model;
	double begin = clock_seconds(), done = 0, all = 0;
	void *scratch, *rounded;

	if (mem_map(&scratch, export_scratch(m), "a weight", e) < 0)
		return -1;
	if (mem_map(&rounded, export_scratch(m), "a weight", e) < 0) {
		mem_unmap(scratch, export_scratch(m));
		return -1;
	}
	for (size_t i = m->n_weights; i-- > 0;) {
		const struct weight *x = &m->weights[i];
		size_t n = x->n_dims == 2 ? x->dim[0] * x->dim[1] : x->dim[0];
		all += (double)n;
		if (n * sizeof(float) == export_scratch(m) || clock_seconds() - begin > TRY_SECONDS ||
		    n % dtypes[dtype].block)
			continue;
		const float *from = w->weights->get(w->weights->ctx, (int)i, scratch);
		dtypes[dtype].from_float(from, rounded, n);
		done += (double)n;
	}
	*seconds = done > 0 ? (clock_seconds() - begin) * all / done : 0;
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
	if (m->source.is_gguf != names_gguf(w->out))
		predict_part(&p, "tokenizer", (double)m->config.V * TOKEN_BYTES, "written in the other form");
	predict_phase(&p, "start", pages);
	predict_phase(&p, "weights", seconds);
	predict_phase(&p, "writing", writing);
	p.loose_seconds = writing;
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
	return export_folder(m, w->out, dtype, w->weights, e);
}

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
	return export_gguf_write(list, w->out, &(struct export_gguf){ .file_type = -1 }, e);
}

static int write_gguf(struct app *app, struct model_writing *w, struct err *e)
{
	struct export_gguf_list list;

	if (!w->l->model.source.is_gguf && loaded_text(w->l, e) < 0)
		return -1;
	if (export_gguf_list(&list, &w->l->model, w->weights, e) < 0)
		return -1;
	int status = write_list(app, w, &list, e);
	export_gguf_release(&list);
	return status;
}

int model_write(struct app *app, struct model_writing *w, struct err *e)
{
	return names_gguf(w->out) ? write_gguf(app, w, e) : write_folder(app, w, e);
}
