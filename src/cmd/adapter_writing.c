/* adapter_writing: the folder appears whole, or what was there stays. See adapter_writing.h. */
#include "cmd/adapter_writing.h"

#include <math.h>
#include <string.h>

#include "adapt/gguf_adapter.h"
#include "base/folder.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/metering.h"
#include "cmd/model_writing.h"

#define WRITE_RATE 5e8                 /* bytes/s onto a disk: a plan writes nothing; past runs say better */
#define QUIET_SECONDS 2                /* before progress is told */

int adapter_dtype_fits(const char *dtype, struct err *e)
{
	if (dtype && strcmp(dtype, "f32") != 0 && strcmp(dtype, "f16") != 0)
		return err_set(e, "--dtype %s: an adapter is written as f32 or f16", dtype);
	return 0;
}

void adapter_predict_writing(struct predicted *p, size_t numbers)
{
	double seconds = (double)numbers * sizeof(float) / WRITE_RATE;

	predict_phase(p, "writing", seconds);
	p->loose_seconds = hypot(p->loose_seconds, seconds);
}

void adapter_watch(void *ctx, const struct combine_progress *p)
{
	(void)ctx;
	metering_tick();
	if (p->seconds > QUIET_SECONDS)
		log_live("%s: %zu of %zu  %.0f s  %s", p->doing, p->done, p->n, p->seconds, metering_live());
}

static int plan(struct app *app, const struct loaded *l, const char *what, struct err *e)
{
	struct predicted p;
	size_t numbers = params_count(&l->adapter.overlay.params);

	predict_begin(&p, "%s", what);
	predict_part(&p, "base", (double)mem_rss_peak(), "program, libraries, tokenizer, the adapter");
	predict_part(&p, "file", (double)numbers * sizeof(float), "to be written");
	adapter_predict_writing(&p, numbers);
	return planned(app, &p, NULL, e);
}

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

int adapter_write(struct app *app, struct loaded *l, const char *what, const char *out, const char *dtype,
                  struct err *e)
{
	if (adapter_dtype_fits(dtype, e) < 0)
		return -1;
	if (what && plan(app, l, what, e) < 0)
		return -1;
	metering_phase("write");
	if (names_gguf(out))
		return gguf_adapter_save(&l->adapter, &l->model, out,
		                         dtype && !strcmp(dtype, "f16") ? DTYPE_F16 : DTYPE_F32, e);
	return write_folder(out, l, e);
}
