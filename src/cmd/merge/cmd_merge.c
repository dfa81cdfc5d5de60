/* merge: a model with an adapter worked into its weights, as a Hugging Face folder that transformers loads or as a
 * GGUF file that llama.cpp runs: each weight is taken to f32, the adapter's product is added, and the sum is rounded
 * once. Or several adapters, or whole models, as one (merge_adapters, merge_models). */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/clock.h"
#include "base/human.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/merge/merge_parts.h"
#include "cmd/metering.h"
#include "cmd/model_writing.h"
#include "ladder/adapted.h"
#include "model/weights.h"

extern const struct command cmd_merge;

#define WEIGHT_MOST 1e6                /* either way: more is a slip, and its sums no numbers any more */

static const struct opt merge_opts[] = {
	OPT_LIST("adapter", struct merge, adapters, "PATH",
	         "an adapter of the model: a folder of PEFT's form, a run, or a GGUF file; repeated, or with "
	         "--weights: they become one adapter"),
	{ OPT_TYPE_STRING, "out", "output-dir", offsetof(struct merge, out), NULL, 0, 0, NULL, "PATH",
	  "what to write: FILE.gguf for llama.cpp, any other name is a folder of Hugging Face's form, which must not "
	  "exist or be empty" },
	OPT_CHOICE("dtype", struct merge, dtype, NULL, "f32|f16|bf16|q8_0",
	           "of the written weights (default: as the model stores them; f32 where that is quantized)"),
	FOUR_BIT_OPTS(struct merge, four_bit),
	OPT_GROUP("Several as one"),
	OPT_LIST("with", struct merge, with, "MODEL", "another whole model of the same shape"),
	OPT_STRING("base", struct merge, base, NULL, "MODEL",
	           "what MODEL and those of --with were trained from (default: MODEL is what those were trained from)"),
	OPT_STRING("weights", struct merge, weights, NULL, "LIST",
	           "as 1.0,-0.5: a number for each, below 0 to take away what was learned (default: 1 each; of linear "
	           "and slerp of models 0.5)"),
	OPT_PICK("combination-type", struct merge, combination, combination_rows,
	         "how they are added up, by PEFT's names; whole models by mergekit's arithmetic"),
	OPT_FLOAT("density", struct merge, density, "0.5", 1e-6, 1,
	          "ties, dare, magnitude_prune: the share of the numbers that is kept"),
	OPT_CHOICE("majority-sign-method", struct merge, majority, "total", "total|frequency",
	           "ties: the sign of the sum, or the one that more of them have"),
	OPT_CHOICE("normalize", struct merge, normalize, "auto", "auto|true|false",
	           "of models: divide by the sum of weights (auto: linear and ties do)"),
	OPT_INT("svd-rank", struct merge, svd_rank, NULL, 1, 4096,
	        "rank of the result of svd and its kin (default: the largest of the adapters')"),
	OPT_INT("seed", struct merge, seed, "42", 0, 9007199254740991.0, "dare: which numbers are kept"),
	OPT_GROUP("What it does on your rows"),
	OPT_LIST("eval-data", struct merge, eval_data, "FILE",
	         "rows, as eval takes them, measured before and after"),
	OPT_FLAG("search", struct merge, search, "false", "adapters: find the weights that do best on --eval-data"),
	OPT_FLAG("apply-chat-template", struct merge, apply_chat_template, "false",
	         "query,choices,gold rows: the query is the user's turn"),
	COMPUTE_OPT(struct merge, compute, "f32"),
	COMMON_OPTS(struct merge, common),
	OPT_END
};

double *merge_weights(const struct merge *o, size_t n, double all, struct err *e)
{
	double *w = mem_array(n, sizeof(*w));
	const char *at = o->weights;
	size_t i = 0;

	for (; i < n && !at; i++)
		w[i] = all;
	for (char *end; at && *at && i < n; i++, at = *end == ',' ? end + 1 : end) {
		w[i] = strtod(at, &end);
		if (end == at || !(fabs(w[i]) <= WEIGHT_MOST) || (*end && *end != ','))
			break;
	}
	if (i == n && !(at && *at))
		return w;
	err_set(e, "--weights %s: %zu numbers with commas, none beyond %.0f, %s wanted", o->weights, n,
	        WEIGHT_MOST, n == 1 ? "was" : "were");
	mem_free(w);
	return NULL;
}

struct combining merge_how(const struct merge *o, const struct combination *how)
{
	return (struct combining){ .how = how, .density = how->keep == KEEP_ALL ? 1 : o->density,
		                   .by_frequency = !strcmp(o->majority, "frequency"), .seed = (uint64_t)o->seed };
}

/* --- one adapter into the weights --- */

struct merging {
	struct loaded l;
	double *change;                /* [n_weights] of a base in 4 bits, what the adapter adds: Σ of squares */
};

/* Σ (merged − base)², a row after another. */
static double change_of(const struct model *m, int i, const float *merged)
{
	const struct weight *w = &m->weights[i];
	size_t cols = w->dim[1];
	float *base = mem_array(cols, sizeof(*base));
	double sum = 0;

	for (size_t row = 0; row < w->dim[0]; row++) {
		const float *x = merged + weight_hf_row(m, i, row) * cols;
		dtypes[w->dtype].to_float((const char *)w->data + row * (w->bytes / w->dim[0]), base, cols);
		for (size_t k = 0; k < cols; k++)
			sum += ((double)x[k] - (double)base[k]) * ((double)x[k] - (double)base[k]);
	}
	mem_free(base);
	return sum;
}

static const float *merged(void *ctx, int i, float *scratch)
{
	const struct merging *g = ctx;

	adapter_merged(&g->l.adapter, &g->l.model, i, scratch);
	if (g->l.model.in_4bit && g->l.model.weights[i].dtype == g->l.model.in_4bit)
		g->change[i] = change_of(&g->l.model, i, scratch);
	return scratch;
}

static const float *merged_head(void *ctx, float *scratch)
{
	const struct merging *g = ctx;

	adapter_merged_head(&g->l.adapter, &g->l.model, scratch);
	return scratch;
}

/* What merging into the model's own numbers, instead of those that the adapter was trained over, would have been off
 * by, beside what the adapter adds. */
static void report_base(const struct app *app, const struct merging *g, json_t *j)
{
	const struct model *m = &g->l.model;
	double change = 0;

	if (!m->in_4bit)
		return;
	for (size_t i = 0; i < m->n_weights; i++)
		change += g->change[i];
	change = sqrt(change / fmax(m->four_bit.size, 1e-300));
	json_object_set_new(j, "base", json_string(dtypes[m->in_4bit].name));
	json_object_set_new(j, "base_error", jsonx_number(four_bit_error(m)));
	json_object_set_new(j, "base_error_max", jsonx_number(m->four_bit.most));
	json_object_set_new(j, "adapter_change", jsonx_number(change));
	if (!app->json)
		app_print("merged into %s's weights as %s: they are %.2f %% off its own (root mean square; at most "
		          "%.3g), the adapter changes them by %.2f %%\n", m->source.path, dtypes[m->in_4bit].name,
		          100 * four_bit_error(m), m->four_bit.most, 100 * change);
}

static void report(struct app *app, const struct merge *o, const char *adapter, const struct model_writing *w,
                   const struct merging *g, double seconds)
{
	char bytes[32], time[32];

	metering_out("result", o->out);
	json_t *j = json_pack("{s:o, s:s, s:I, s:I, s:f}", "out", jsonx_path(o->out), "dtype", w->dtype_name,
	                      "parameters", (json_int_t)model_count(&w->l->model), "bytes", (json_int_t)w->bytes,
	                      "seconds", seconds);
	report_base(app, g, j);
	app_summary(app, j);
	if (app->json)
		return;
	clock_human(seconds, time);
	log_say("%s: the model with %s worked in, %s of weights as %s, in %s", o->out, adapter,
	        human_bytes(w->bytes, bytes), w->dtype_name, time);
}

static int merge(struct app *app, const struct merge *o, const char *model, const char *adapter, struct err *e)
{
	struct merging g = { .change = NULL };
	struct four_bit_options base = o->four_bit;
	double began = clock_seconds();

	if (!base.on && adapter_base_4bit(adapter, &base, e) < 0)
		return -1;
	if (base.on && !o->four_bit.on)
		log_say("%s was trained on a base in 4 bits: it is merged into that", adapter);
	if (loaded_open_4bit(&g.l, app, &base, model, adapter, e) < 0)
		return -1;
	g.change = mem_array(g.l.model.n_weights, sizeof(*g.change));
	struct export_weights weights = { .get = merged,
		                          .head = adapter_unties(&g.l.adapter) ? merged_head : NULL,
		                          .ctx = &g };
	struct model_writing w = { .l = &g.l, .what = "merge", .out = o->out, .weights = &weights,
		                   .dtype = o->dtype ? dtype_from_name(o->dtype) : -1 };
	int status = adapter_check_merge(&g.l.adapter, e);
	if (status == 0)
		status = model_write(app, &w, e);
	if (status == 0)
		report(app, o, adapter, &w, &g, clock_seconds() - began);
	mem_free(g.change);
	loaded_close(&g.l);
	return status;
}

/* The base and the adapter of what `kungfu adapt` left. */
static int merge_adapted(struct app *app, const struct merge *o, const char *path, struct err *e)
{
	struct adapted a;

	if (adapted_open(&a, path, e) < 0)
		return -1;
	int status = a.model && a.adapter ? merge(app, o, a.model, a.adapter, e) :
	                                    err_set(e, "%s has no adapter that could be worked into its model", path);
	adapted_close(&a);
	return status;
}

/* Options that are of several, given to one adapter that is worked in; NULL: none. */
static const char *of_several(struct opt_parse *p)
{
	static const char *const names[] = { "density",   "majority-sign-method", "svd-rank",
		                             "seed",      "eval-data",            "search",
		                             "compute",   "apply-chat-template" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (opt_given(p, names[i]))
			return names[i];
	return NULL;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct merge *o = options;
	bool several = o->adapters.n > 1 || o->weights || opt_given(p, "combination-type"),
	     own = !o->adapters.n && !o->with.n && adapted_is(p->positional[0]);

	app_catch_signals();
	o->chosen = opt_given(p, "combination-type");
	if (!o->out || (!o->adapters.n && !o->with.n && !own))
		return app_usage(&cmd_merge, "--adapter DIR (or --with MODEL) and --out PATH were wanted");
	if (o->adapters.n && o->with.n)
		return app_usage(&cmd_merge, "--adapter and --with: adapters are added to adapters, models to models");
	if (o->search && (o->with.n || !o->eval_data.n))
		return app_usage(&cmd_merge, "--search finds the weights of adapters, on the rows of --eval-data");
	if ((several || o->with.n) && output_folder_free(o->out, e) < 0)
		return -1;
	if (o->with.n && o->four_bit.on)
		return app_usage(&cmd_merge, "--load-in-4bit is of a model under adapters, not of --with");
	if (o->with.n)
		return merge_models(app, o, p->positional[0], e);
	if (o->base || opt_given(p, "normalize"))
		return app_usage(&cmd_merge, "--%s is of whole models, --with MODEL", o->base ? "base" : "normalize");
	if (several && !own)
		return merge_adapters(app, o, p->positional[0], e);
	if (several || of_several(p))
		return app_usage(&cmd_merge, "--%s is of several adapters as one; one alone is worked into the model",
		                 several ? "weights" : of_several(p));
	return own ? merge_adapted(app, o, p->positional[0], e) :
	             merge(app, o, p->positional[0], o->adapters.items[0], e);
}

const struct command cmd_merge = {
	.name = "merge",
	.summary = "an adapter worked into a model, or several adapters or models as one",
	.usage = "MODEL --adapter DIR [--adapter DIR --weights 1,-0.5] --out DIR|FILE.gguf [options]",
	.example = "kungfu merge model.gguf --adapter run --out merged",
	.brief = "adapter into weights",
	.plans = true,
	.order = 60,
	.opts = merge_opts,
	.options_size = sizeof(struct merge),
	.least = 1, .most = 1, .wanted = "one model was wanted, a GGUF file or a Hugging Face folder",
	.run = run,
};
