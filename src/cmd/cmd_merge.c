/* merge: a model with an adapter worked into its weights, as a Hugging Face folder that transformers loads. Each weight is taken to f32, the
 * adapter's product is added, and the sum is rounded once. */
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/human.h"
#include "base/log.h"
#include "cmd/books.h"
#include "cmd/model_common.h"
#include "model/export.h"

extern const struct command cmd_merge;

struct merge {
	struct common common;
	const char *adapter, *out, *dtype;
};

static const struct opt merge_opts[] = {
	ADAPTER_OPT(struct merge, adapter),
	{ OPT_TYPE_STRING, "out", "output-dir", offsetof(struct merge, out), NULL, 0, 0, NULL, "DIR", "the folder to write; must not exist or be empty" },
	OPT_CHOICE("dtype", struct merge, dtype, NULL, "f32|f16|bf16", "of the written weights (default: as the model stores them; f32 where that is quantized)"),
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

	books_out("result", o->out);
	if (app->json) {
		json_t *j = json_pack("{s:s, s:s, s:I, s:I, s:f}", "out", o->out, "dtype", dtypes[dtype].name, "parameters", (json_int_t)model_count(m),
		                      "bytes", (json_int_t)size, "seconds", seconds);
		books_summary(j);
		app_json(j);
		json_decref(j);
		return;
	}
	clock_human(seconds, time);
	log_say("%s: the model with %s worked in, %s of weights as %s, in %s", o->out, o->adapter, human_bytes(size, bytes), dtypes[dtype].name, time);
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
	struct export_weights weights = { .get = merged, .head = adapter_unties(&l.adapter) ? merged_head : NULL, .ctx = &l };
	int status = export_folder(&l.model, o->out, dtype, &weights, e);
	if (status == 0)
		report(app, o, &l.model, dtype, clock_seconds() - began);
	loaded_close(&l);
	return status;
}

static int run(struct app *app)
{
	struct merge o;
	struct opt_parse p;
	struct err e = ERR_INIT;
	int status = model_begin(app, &cmd_merge, &o, &p, 1, "one model");

	if (status)
		return status - 1;
	if (!o.adapter || !o.out)
		status = app_usage(&cmd_merge, "--adapter DIR and --out DIR were wanted");
	else if (merge(app, &o, p.positional[0], &e) < 0)
		status = app_fail(&e);
	opt_release(&p);
	return status;
}

const struct command cmd_merge = {
	.name = "merge",
	.summary = "a model with an adapter worked into its weights",
	.usage = "MODEL --adapter DIR --out DIR [--dtype f32|f16|bf16]",
	.example = "kungfu merge model.gguf --adapter run --out merged",
	.brief = "adapter into weights",
	.order = 60,
	.opts = merge_opts,
	.run = run,
};
