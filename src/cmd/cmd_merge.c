/* merge: a model with an adapter worked into its weights, as a Hugging Face folder that transformers loads or as a GGUF
 * file that llama.cpp runs. Each weight is taken to f32, the adapter's product is added, and the sum is rounded
 * once. */
#include <string.h>

#include "base/jsonx.h"
#include "base/clock.h"
#include "base/human.h"
#include "base/log.h"
#include "cmd/metering.h"
#include "cmd/model_writing.h"

extern const struct command cmd_merge;

struct merge {
	struct common common;
	const char *adapter, *out, *dtype;
};

static const struct opt merge_opts[] = {
	ADAPTER_OPT(struct merge, adapter),
	{ OPT_TYPE_STRING, "out", "output-dir", offsetof(struct merge, out), NULL, 0, 0, NULL, "PATH",
	  "what to write: FILE.gguf for llama.cpp, any other name is a folder of Hugging Face's form, which must not "
	  "exist or be empty" },
	OPT_CHOICE("dtype", struct merge, dtype, NULL, "f32|f16|bf16|q8_0",
	           "of the written weights (default: as the model stores them; f32 where that is quantized)"),
	COMMON_OPTS(struct merge, common),
	OPT_END
};

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

static void report(struct app *app, const struct merge *o, const struct model_writing *w, double seconds)
{
	char bytes[32], time[32];

	metering_out("result", o->out);
	json_t *j = json_pack("{s:o, s:s, s:I, s:I, s:f}", "out", jsonx_path(o->out), "dtype", w->dtype_name,
	                      "parameters", (json_int_t)model_count(&w->l->model), "bytes", (json_int_t)w->bytes,
	                      "seconds", seconds);
	app_summary(app, j);
	if (app->json)
		return;
	clock_human(seconds, time);
	log_say("%s: the model with %s worked in, %s of weights as %s, in %s", o->out, o->adapter,
	        human_bytes(w->bytes, bytes), w->dtype_name, time);
}

static int merge(struct app *app, const struct merge *o, const char *model, struct err *e)
{
	struct loaded l;
	double began = clock_seconds();

	app_catch_signals();
	if (loaded_open(&l, model, o->adapter, e) < 0)
		return -1;
	struct export_weights weights = { .get = merged,
		                          .head = adapter_unties(&l.adapter) ? merged_head : NULL,
		                          .ctx = &l };
	struct model_writing w = { .l = &l, .what = "merge", .out = o->out, .weights = &weights,
		                   .dtype = o->dtype ? dtype_from_name(o->dtype) : -1 };
	int status = adapter_check_merge(&l.adapter, e);
	if (status == 0)
		status = model_write(app, &w, e);
	if (status == 0)
		report(app, o, &w, clock_seconds() - began);
	loaded_close(&l);
	return status;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct merge *o = options;

	if (!o->adapter || !o->out)
		return app_usage(&cmd_merge, "--adapter DIR and --out PATH were wanted");
	return merge(app, o, p->positional[0], e);
}

const struct command cmd_merge = {
	.name = "merge",
	.summary = "a model with an adapter worked into its weights",
	.usage = "MODEL --adapter DIR --out DIR|FILE.gguf [--dtype f32|f16|bf16|q8_0]",
	.example = "kungfu merge model.gguf --adapter run --out merged",
	.brief = "adapter into weights",
	.plans = true,
	.order = 60,
	.opts = merge_opts,
	.options_size = sizeof(struct merge),
	.least = 1, .most = 1, .wanted = "one model was wanted, a GGUF file or a Hugging Face folder",
	.run = run,
};
