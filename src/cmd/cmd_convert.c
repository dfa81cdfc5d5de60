/* convert: an adapter in the other form: PEFT's folder to llama.cpp's GGUF file and back. The numbers stay what they
 * are, up to the dtype. */
#include <string.h>
#include <strings.h>

#include "adapt/gguf_adapter.h"
#include "base/jsonx.h"
#include "base/human.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/metering.h"
#include "cmd/model_common.h"

extern const struct command cmd_convert;

#define WRITE_RATE 5e8                 /* bytes/s onto a disk: a plan writes nothing; past runs say better */

struct convert {
	struct common common;
	const char *adapter, *out, *dtype;
};

static const struct opt convert_opts[] = {
	ADAPTER_OPT(struct convert, adapter),
	OPT_STRING("out", struct convert, out, NULL, "PATH",
	           "what to write: FILE.gguf for llama.cpp, any other name is a folder of PEFT's form"),
	OPT_CHOICE("dtype", struct convert, dtype, "f32", "f32|f16", "of the numbers in FILE.gguf; a folder has f32"),
	COMMON_OPTS(struct convert, common), OPT_END
};

static bool is_gguf(const char *name)
{
	size_t n = strlen(name);
	return n > 5 && !strcasecmp(name + n - 5, ".gguf");
}

static int check_folder(const char *dir, struct err *e)
{
	bool empty;
	if (io_exists(dir) && !io_is_dir(dir))
		return err_set(e, "--out %s is a file; a new folder, or a name that ends in .gguf, was wanted", dir);
	if (io_dir_is_empty(dir, &empty, e) < 0)
		return -1;
	return empty ? 0 : err_set(e, "--out %s is not empty", dir);
}

static void report(const struct app *app, const struct convert *o, const struct adapter *a)
{
	char count[32];

	metering_out("result", o->out);
	json_t *j = json_pack("{s:o, s:s, s:s, s:I}", "out", jsonx_path(o->out), "form",
	                      is_gguf(o->out) ? "gguf" : "peft", "dtype", is_gguf(o->out) ? o->dtype : "f32",
	                      "parameters", (json_int_t)params_count(&a->overlay.params));
	app_summary(app, j);
	if (app->json)
		return;
	log_say("%s: %s parameters of %s, as %s", o->out, human_count((double)params_count(&a->overlay.params), count),
	        o->adapter, is_gguf(o->out) ? "GGUF" : "PEFT has them");
}

static int plan_convert(struct app *app, const struct loaded *l, struct err *e)
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

static int write_adapter(const struct convert *o, struct loaded *l, struct err *e)
{
	metering_phase("write");
	if (is_gguf(o->out))
		return gguf_adapter_save(&l->adapter, &l->model, o->out,
		                         !strcmp(o->dtype, "f16") ? DTYPE_F16 : DTYPE_F32, e);
	return adapter_save(&l->adapter, &l->model, o->out, e);
}

static int convert(struct app *app, const struct convert *o, const char *model, struct err *e)
{
	struct loaded l;
	int status = is_gguf(o->out) ? 0 : check_folder(o->out, e);

	if (status < 0 || loaded_open(&l, model, o->adapter, e) < 0)
		return -1;
	status = plan_convert(app, &l, e);
	if (status == 0)
		status = write_adapter(o, &l, e);
	if (status == 0)
		report(app, o, &l.adapter);
	loaded_close(&l);
	return status;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct convert *o = options;

	if (!o->adapter || !o->out)
		return app_usage(&cmd_convert, "--adapter PATH and --out PATH were wanted");
	return convert(app, o, p->positional[0], e);
}

const struct command cmd_convert = {
	.name = "convert",
	.summary = "an adapter for llama.cpp (GGUF), or from it",
	.usage = "MODEL --adapter PATH --out FILE.gguf|DIR",
	.example = "kungfu convert model.gguf --adapter run --out a.gguf",
	.brief = "adapter for llama.cpp",
	.plans = true,
	.order = 62,
	.opts = convert_opts,
	.options_size = sizeof(struct convert),
	.least = 1, .most = 1, .wanted = "one model was wanted, a GGUF file or a Hugging Face folder",
	.run = run,
};
