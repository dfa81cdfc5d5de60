/* convert: a model in the other form: a Hugging Face folder to a GGUF file that llama.cpp runs, and back; or an
 * adapter, PEFT's folder to llama.cpp's file and back. The numbers stay what they are, up to the dtype. */
#include <string.h>

#include "adapt/gguf_adapter.h"
#include "base/clock.h"
#include "base/folder.h"
#include "base/jsonx.h"
#include "base/human.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/metering.h"
#include "cmd/model_common.h"
#include "cmd/model_writing.h"

extern const struct command cmd_convert;

#define WRITE_RATE 5e8                 /* bytes/s onto a disk: a plan writes nothing; past runs say better */

struct convert {
	struct common common;
	const char *adapter, *out, *dtype;
};

static const struct opt convert_opts[] = {
	{ OPT_TYPE_STRING, "out", "output-dir", offsetof(struct convert, out), NULL, 0, 0, NULL, "PATH",
	  "what to write: FILE.gguf for llama.cpp, any other name is a folder of Hugging Face's form" },
	OPT_CHOICE("dtype", struct convert, dtype, NULL, "f32|f16|bf16|q8_0",
	           "of the written numbers (default: as they are stored; a folder has f32 where that is quantized)"),
	OPT_STRING("adapter", struct convert, adapter, NULL, "PATH",
	           "convert this adapter of the model instead: a folder of PEFT's form, a run, or a GGUF file"),
	COMMON_OPTS(struct convert, common), OPT_END
};

static int check_folder(const char *dir, struct err *e)
{
	bool empty;
	if (io_exists(dir) && !io_is_dir(dir))
		return err_set(e, "--out %s is a file; a new folder, or a name that ends in .gguf, was wanted", dir);
	if (io_dir_is_empty(dir, &empty, e) < 0)
		return -1;
	return empty ? 0 : err_set(e, "--out %s is not empty", dir);
}

/* --- an adapter --- */

static const char *adapter_dtype(const struct convert *o) { return o->dtype ? o->dtype : "f32"; }

static void report_adapter(const struct app *app, const struct convert *o, const struct adapter *a)
{
	char count[32];

	metering_out("result", o->out);
	json_t *j = json_pack("{s:o, s:s, s:s, s:I}", "out", jsonx_path(o->out), "form",
	                      names_gguf(o->out) ? "gguf" : "peft", "dtype",
	                      names_gguf(o->out) ? adapter_dtype(o) : "f32", "parameters",
	                      (json_int_t)params_count(&a->overlay.params));
	app_summary(app, j);
	if (app->json)
		return;
	log_say("%s: %s parameters of %s, as %s", o->out, human_count((double)params_count(&a->overlay.params), count),
	        o->adapter, names_gguf(o->out) ? "GGUF" : "PEFT has them");
}

static int plan_adapter(struct app *app, const struct loaded *l, struct err *e)
{
	struct predicted p;
	double bytes = (double)params_count(&l->adapter.overlay.params) * sizeof(float);

	predict_begin(&p, "convert");
	predict_part(&p, "base", (double)mem_rss_peak(), "program, libraries, tokenizer, the adapter");
	predict_part(&p, "file", bytes, "to be written");
	p.loose_seconds = bytes / WRITE_RATE;
	predict_phase(&p, "writing", p.loose_seconds);
	return planned(app, &p, NULL, e);
}

/* The folder appears whole, or what was there stays. */
static int write_folder(const char *dir, const struct loaded *l, struct err *e)
{
	struct folder f;

	if (folder_begin(&f, dir, e) < 0)
		return -1;
	if (adapter_save(&l->adapter, &l->model, f.beside, e) == 0)
		return folder_place(&f, e);
	folder_abort(&f);
	return -1;
}

static int write_adapter(const struct convert *o, struct loaded *l, struct err *e)
{
	metering_phase("write");
	if (names_gguf(o->out))
		return gguf_adapter_save(&l->adapter, &l->model, o->out,
		                         !strcmp(adapter_dtype(o), "f16") ? DTYPE_F16 : DTYPE_F32, e);
	return write_folder(o->out, l, e);
}

static int convert_adapter(struct app *app, const struct convert *o, struct loaded *l, struct err *e)
{
	if (o->dtype && strcmp(o->dtype, "f32") != 0 && strcmp(o->dtype, "f16") != 0)
		return err_set(e, "--dtype %s: an adapter is written as f32 or f16", o->dtype);
	int status = plan_adapter(app, l, e);
	if (status == 0)
		status = write_adapter(o, l, e);
	if (status == 0)
		report_adapter(app, o, &l->adapter);
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
	int status = names_gguf(o->out) ? 0 : check_folder(o->out, e);

	app_catch_signals();
	if (status < 0 || loaded_open(&l, model, o->adapter, e) < 0)
		return -1;
	status = o->adapter ? convert_adapter(app, o, &l, e) : convert_model(app, o, &l, e);
	loaded_close(&l);
	return status;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct convert *o = options;

	if (!o->out)
		return app_usage(&cmd_convert, "--out PATH was wanted");
	return convert(app, o, p->positional[0], e);
}

const struct command cmd_convert = {
	.name = "convert",
	.summary = "a model, or an adapter, for llama.cpp (GGUF), or from it",
	.usage = "MODEL --out FILE.gguf|DIR [--dtype f32|f16|bf16|q8_0] [--adapter PATH]",
	.example = "kungfu convert Qwen3-0.6B --out qwen3.gguf",
	.brief = "folder to GGUF, and back",
	.plans = true,
	.order = 62,
	.opts = convert_opts,
	.options_size = sizeof(struct convert),
	.least = 1, .most = 1, .wanted = "one model was wanted, a GGUF file or a Hugging Face folder",
	.run = run,
};
