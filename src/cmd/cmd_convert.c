/* convert: a model in the other form: a Hugging Face folder to a GGUF file that llama.cpp runs, and back; or an
 * adapter, PEFT's folder to llama.cpp's file and back. The numbers stay what they are, up to the dtype. And whatever an
 * adapter or a whole training changed, as a LoRA that is near to it. */
#include <string.h>

#include "adapt/combine.h"
#include "base/clock.h"
#include "base/jsonx.h"
#include "base/human.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/adapter_writing.h"
#include "cmd/metering.h"
#include "cmd/model_writing.h"

extern const struct command cmd_convert;

#define LOOSE 0.2                      /* by how much a matrix's singular values take longer than another's */

struct convert {
	struct common common;
	const char *adapter, *out, *dtype, *base;
	int64_t to_lora;               /* OPT_UNSET_INT: no */
};

static const struct opt convert_opts[] = {
	{ OPT_TYPE_STRING, "out", "output-dir", offsetof(struct convert, out), NULL, 0, 0, NULL, "PATH",
	  "what to write: FILE.gguf for llama.cpp, any other name is a folder of Hugging Face's form" },
	OPT_CHOICE("dtype", struct convert, dtype, NULL, "f32|f16|bf16|q8_0",
	           "of the written numbers (default: as they are stored; a folder has f32 where that is quantized)"),
	OPT_STRING("adapter", struct convert, adapter, NULL, "PATH",
	           "convert this adapter of the model instead: a folder of PEFT's form, a run, or a GGUF file"),
	OPT_INT("to-lora", struct convert, to_lora, NULL, 1, 4096,
	        "a LoRA of rank N instead, the nearest to what --adapter, of whatever type, or the model's training "
	        "changed of --base"),
	OPT_STRING("base", struct convert, base, NULL, "MODEL",
	           "with --to-lora: the model before all of it was trained"),
	COMMON_OPTS(struct convert, common), OPT_END
};

/* --- an adapter --- */

static void report_adapter(const struct app *app, const struct convert *o, const struct adapter *a)
{
	char count[32];

	metering_out("result", o->out);
	json_t *j = json_pack("{s:o, s:s, s:s, s:I}", "out", jsonx_path(o->out), "form",
	                      names_gguf(o->out) ? "gguf" : "peft", "dtype",
	                      names_gguf(o->out) && o->dtype ? o->dtype : "f32", "parameters",
	                      (json_int_t)params_count(&a->overlay.params));
	app_summary(app, j);
	if (app->json)
		return;
	log_say("%s: %s parameters of %s, as %s", o->out, human_count((double)params_count(&a->overlay.params), count),
	        o->adapter ? o->adapter : "what was trained", names_gguf(o->out) ? "GGUF" : "PEFT has them");
}

/* what: for its plan; NULL: it was planned. */
static int convert_adapter(struct app *app, const struct convert *o, struct loaded *l, const char *what, struct err *e)
{
	if (adapter_write(app, l, what, o->out, o->dtype, e) < 0)
		return -1;
	report_adapter(app, o, &l->adapter);
	return 0;
}

/* --- as a LoRA --- */

static int plan_lora(void *ctx, const struct combine_forecast *f, struct err *e)
{
	struct predicted p;

	predict_begin(&p, "convert to LoRA");
	predict_part(&p, "base", (double)mem_rss_peak(), "program, libraries, what was changed, the first matrices");
	predict_phase(&p, "singular values", f->left);
	p.loose_seconds = LOOSE * f->left;
	adapter_predict_writing(&p, f->numbers);
	return planned(ctx, &p, NULL, e);
}

/* What the adapter, or all of the model's training, changed becomes a LoRA of the rank: l->adapter. */
static int make_lora(struct app *app, const struct convert *o, struct loaded *l, const struct model *tuned,
                     struct err *e)
{
	struct change change = { l->has_adapter ? &l->adapter : NULL, tuned, o->adapter ? o->adapter : o->base, 1 };
	struct combine c = { .model = &l->model, .changes = &change, .n = 1, .svd_rank = (size_t)o->to_lora,
		             .how = { .how = combination_find("svd"), .density = 1 }, .interrupted = app_interrupted,
		             .progress = adapter_watch, .planned = plan_lora, .ctx = app };
	struct combined result;
	struct adapter lora;

	metering_phase("singular values");
	int status = combine_adapters(&lora, &result, &c, e);
	log_live_end();
	if (status < 0)
		return -1;
	if (l->has_adapter)
		adapter_release(&l->adapter);
	l->adapter = lora;
	l->has_adapter = true;
	log_say("a LoRA of rank %zu on %zu modules is off by %.3g of what was changed (Frobenius norm)", result.rank,
	        result.modules, result.error);
	if (result.left_out)
		log_warn("%zu norms and biases were changed as well, and a LoRA cannot hold them", result.left_out);
	return 0;
}

static int convert_to_lora(struct app *app, const struct convert *o, const char *model, struct err *e)
{
	struct model tuned;
	struct loaded l;

	if (adapter_dtype_fits(o->dtype, e) < 0 || loaded_open(&l, o->base ? o->base : model, o->adapter, e) < 0)
		return -1;
	int status = o->base ? model_open(&tuned, model, e) : 0;
	if (status == 0 && o->base)
		status = model_same_weights(&l.model, &tuned, model, e);
	if (status == 0 && (status = make_lora(app, o, &l, o->base ? &tuned : NULL, e)) == 0)
		status = convert_adapter(app, o, &l, NULL, e);
	if (o->base)
		model_close(&tuned);
	loaded_close(&l);
	return status;
}

/* --- a model --- */

static int convert_model(struct app *app, const struct convert *o, struct loaded *l, struct err *e)
{
	struct export_weights weights = { .get = export_own, .ctx = &l->model };
	struct model_writing w = { .l = l, .what = "convert", .out = o->out, .weights = &weights, .as_stored = true };
	double began = clock_seconds();
	char bytes[32], time[32];

	if (o->dtype)
		w.dtype = dtype_from_name(o->dtype);
	else
		w.dtype = -1;
	if (model_write(app, &w, e) < 0)
		return -1;
	json_t *j = json_pack("{s:o, s:s, s:s, s:I, s:I, s:f}", "out", jsonx_path(o->out), "form",
	                      names_gguf(o->out) ? "gguf" : "folder", "dtype", w.dtype_name, "parameters",
	                      (json_int_t)model_count(&l->model), "bytes", (json_int_t)w.bytes, "seconds",
	                      clock_seconds() - began);
	app_summary(app, j);
	if (app->json)
		return 0;
	clock_human(clock_seconds() - began, time);
	log_say("%s: the model as %s, %s of weights as %s, in %s", o->out,
	        names_gguf(o->out) ? "GGUF" : "a Hugging Face folder", human_bytes(w.bytes, bytes), w.dtype_name, time);
	return 0;
}

static int convert(struct app *app, const struct convert *o, const char *model, struct err *e)
{
	struct loaded l;
	int status = output_folder_free(o->out, e);

	app_catch_signals();
	if (status == 0 && o->to_lora != OPT_UNSET_INT)
		return convert_to_lora(app, o, model, e);
	if (status == 0)
		status = o->adapter ? loaded_open(&l, model, o->adapter, e) : loaded_open_alone(&l, model, e);
	if (status < 0)
		return -1;
	status = o->adapter ? convert_adapter(app, o, &l, "convert", e) : convert_model(app, o, &l, e);
	loaded_close(&l);
	return status;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct convert *o = options;

	if (!o->out)
		return app_usage(&cmd_convert, "--out PATH was wanted");
	if (o->to_lora == OPT_UNSET_INT && o->base)
		return app_usage(&cmd_convert, "--base is of --to-lora N");
	if (o->to_lora != OPT_UNSET_INT && !o->base == !o->adapter)
		return app_usage(&cmd_convert, "--to-lora wants either --adapter PATH or --base MODEL");
	return convert(app, o, p->positional[0], e);
}

const struct command cmd_convert = {
	.name = "convert",
	.summary = "a model, or an adapter, for llama.cpp (GGUF), or from it; a change as a LoRA",
	.usage = "MODEL --out FILE.gguf|DIR [--adapter PATH] [--to-lora N] [--dtype f32|f16|bf16|q8_0]",
	.example = "kungfu convert Qwen3-0.6B --out qwen3.gguf",
	.brief = "folder to GGUF, and back",
	.plans = true,
	.order = 62,
	.opts = convert_opts,
	.options_size = sizeof(struct convert),
	.least = 1, .most = 1, .wanted = "one model was wanted, a GGUF file or a Hugging Face folder",
	.run = run,
};
