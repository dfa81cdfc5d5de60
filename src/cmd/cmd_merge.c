/* merge: a model with an adapter worked into its weights, as a Hugging Face folder that transformers loads. Each weight
 * is taken to f32, the adapter's product is added, and the sum is rounded once. */
#include <string.h>
#include <strings.h>

#include "base/jsonx.h"
#include "base/clock.h"
#include "base/human.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/metering.h"
#include "cmd/model_common.h"
#include "model/export.h"

extern const struct command cmd_merge;

enum { TOKEN_BYTES = 440 };            /* of a token while a tokenizer is written: its JSON in memory */
#define TRY_SECONDS 0.03               /* of trying how long the weights take */
#define WRITE_RATE 1e9                 /* bytes/s onto a disk: a plan writes nothing; past runs say better */

struct merge {
	struct common common;
	const char *adapter, *out, *dtype;
};

static const struct opt merge_opts[] = {
	ADAPTER_OPT(struct merge, adapter),
	{ OPT_TYPE_STRING, "out", "output-dir", offsetof(struct merge, out), NULL, 0, 0, NULL, "DIR",
	  "the folder to write; must not exist or be empty" },
	OPT_CHOICE("dtype", struct merge, dtype, NULL, "f32|f16|bf16",
	           "of the written weights (default: as the model stores them; f32 where that is quantized)"),
	COMMON_OPTS(struct merge, common),
	OPT_END
};

/* What most of the matrices' bytes are stored as, if that can be written; else f32. */
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

static const float *merged(void *ctx, int i, float *scratch)
{
	const struct loaded *l = ctx;
	adapter_merged(&l->adapter, &l->model, i, scratch);
	return scratch;
}

static const float *merged_head(void *ctx, float *scratch)
{
	const struct loaded *l = ctx;
	adapter_merged_head(&l->adapter, &l->model, scratch);
	return scratch;
}

static void report(struct app *app, const struct merge *o, const struct model *m, enum dtype dtype, double seconds)
{
	char bytes[32], time[32];
	size_t size = export_bytes(m, dtype);

	metering_out("result", o->out);
	json_t *j = json_pack("{s:o, s:s, s:I, s:I, s:f}", "out", jsonx_path(o->out), "dtype", dtypes[dtype].name,
	                      "parameters", (json_int_t)model_count(m), "bytes", (json_int_t)size, "seconds", seconds);
	app_summary(app, j);
	if (app->json)
		return;
	clock_human(seconds, time);
	log_say("%s: the model with %s worked in, %s of weights as %s, in %s", o->out, o->adapter,
	        human_bytes(size, bytes), dtypes[dtype].name, time);
}

/* Seconds of making all weights' numbers, by making those of a few, from the largest layer's end on. */
static int time_weights(const struct loaded *l, enum dtype dtype, double *seconds, struct err *e)
{
	const struct model *m = &l->model;
	double begin = clock_seconds(), done = 0, all = 0;
	void *scratch, *rounded;
	size_t n;

	if (mem_map(&scratch, export_scratch(m), "a weight", e) < 0)
		return -1;
	if (mem_map(&rounded, export_scratch(m), "a weight", e) < 0) {
		mem_unmap(scratch, export_scratch(m));
		return -1;
	}
	for (size_t i = m->n_weights; i-- > 0;) {
		const struct weight *w = &m->weights[i];
		all += (double)(n = w->n_dims == 2 ? w->dim[0] * w->dim[1] : w->dim[0]);
		if (n * sizeof(float) == export_scratch(m) || clock_seconds() - begin > TRY_SECONDS)
			continue;
		dtypes[dtype].from_float(merged((void *)l, (int)i, scratch), rounded, n);
		done += (double)n;
	}
	*seconds = done > 0 ? (clock_seconds() - begin) * all / done : 0;
	mem_unmap(scratch, export_scratch(m));
	mem_unmap(rounded, export_scratch(m));
	return 0;
}

static int plan_merge(struct app *app, const struct loaded *l, enum dtype dtype, struct err *e)
{
	struct predicted p;
	double seconds, writing = (double)export_bytes(&l->model, dtype) / WRITE_RATE;

	if (time_weights(l, dtype, &seconds, e) < 0)
		return -1;
	predict_begin(&p, "merge %s", dtypes[dtype].name);
	double pages = loaded_predict(l, &p, &(struct model_reads){ .token = NULL }, export_scratch(&l->model), 0,
	                              "one weight as f32");
	if (l->model.source.is_gguf)
		predict_part(&p, "tokenizer", (double)l->model.config.V * TOKEN_BYTES, "written as JSON");
	predict_phase(&p, "start", pages);
	predict_phase(&p, "weights", seconds);
	predict_phase(&p, "writing", writing);
	p.loose_seconds = writing;
	return planned(app, &p,
	               &(struct planned_options){
			       .facts = json_pack("{s:I}", "disk_bytes", (json_int_t)export_bytes(&l->model, dtype)) },
	               e);
}

static int merge(struct app *app, const struct merge *o, const char *model, struct err *e)
{
	struct loaded l;
	double began = clock_seconds();

	if (loaded_open(&l, model, o->adapter, e) < 0)
		return -1;
	enum dtype dtype = o->dtype ? (enum dtype)dtype_from_name(o->dtype) : stored_dtype(&l.model);
	if (!o->dtype)
		log_say("written as %s; --dtype chooses another", dtypes[dtype].name);
	struct export_weights weights = { .get = merged,
		                          .head = adapter_unties(&l.adapter) ? merged_head : NULL,
		                          .ctx = &l };
	int status = adapter_check_merge(&l.adapter, e);
	if (status == 0 && l.model.source.is_gguf)
		status = loaded_text(&l, e);
	if (status == 0)
		status = plan_merge(app, &l, dtype, e);
	metering_phase("write");
	if (status == 0)
		status = export_folder(&l.model, o->out, dtype, &weights, e);
	if (status == 0)
		report(app, o, &l.model, dtype, clock_seconds() - began);
	loaded_close(&l);
	return status;
}

static bool has_ending(const char *path, const char *ending)
{
	size_t n = strlen(path), m = strlen(ending);
	return n >= m && !strcasecmp(path + n - m, ending);
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct merge *o = options;

	if (!o->adapter || !o->out)
		return app_usage(&cmd_merge, "--adapter DIR and --out DIR were wanted");
	if (has_ending(o->out, ".gguf"))
		return app_usage(&cmd_merge, "--out %s: merge writes a Hugging Face folder, name one", o->out);
	return merge(app, o, p->positional[0], e);
}

const struct command cmd_merge = {
	.name = "merge",
	.summary = "a model with an adapter worked into its weights",
	.usage = "MODEL --adapter DIR --out DIR [--dtype f32|f16|bf16]",
	.example = "kungfu merge model.gguf --adapter run --out merged",
	.brief = "adapter into weights",
	.plans = true,
	.order = 60,
	.opts = merge_opts,
	.options_size = sizeof(struct merge),
	.least = 1, .most = 1, .wanted = "one model was wanted, a GGUF file or a Hugging Face folder",
	.run = run,
};
