/* coordinates: muP's check (train/coordinates.h) of a shape, with it and without: what a person runs before a rate that
 * was tuned on a narrow model is trusted on a wide one. */
#include <math.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "cmd/pretrain/pretrain.h"
#include "model/sizes.h"
#include "train/coordinates.h"

enum { VOCABULARY = 512, CONTEXT = 64, STEPS = 5 };

static const double usual_rate = 0.01;

static json_t *read_config(const struct pretrain *o, struct err *e)
{
	const char *given = o->recipe.config;
	json_t *j;

	if (!o->size && !given) {
		err_set(e, "--coord-check wants the narrowest shape: --size llama-d1, or --config FILE");
		return NULL;
	}
	if (o->size) {
		j = size_config(o->size, CONTEXT, e);
	} else {
		char *path = io_is_dir(given) ? io_join(given, "config.json") : mem_strdup(given);
		j = jsonx_load_file(path, e);
		mem_free(path);
	}
	if (j && (o->vocab_size || !json_object_get(j, "vocab_size")))
		json_object_set_new(j, "vocab_size", json_integer(o->vocab_size ? o->vocab_size : VOCABULARY));
	return j;
}

int pretrain_coordinates(struct app *app, const struct pretrain *o, struct err *e)
{
	json_t *config = read_config(o, e);
	struct coordinates *c = mem_alloc(sizeof(*c));
	int status = config ? 0 : -1;
	bool passes = false;

	for (int mup = 1; mup >= 0 && status == 0; mup--) {
		struct coordinate_options how = { .times = { 1, 2, 4, 8 }, .steps = STEPS, .mup = mup, .documents = 8,
			                          .length = CONTEXT / 2, .seed = (uint64_t)o->recipe.seed };
		struct buf table = BUF_INIT;
		how.rate = isnan(o->recipe.learning_rate) ? usual_rate : o->recipe.learning_rate;
		status = coordinate_check(c, config, &how, app->device, e);
		if (status == 0) {
			coordinate_table(c, &how, &table);
			app_print("%s mean |x| after %d steps at a rate of %g\n%s%s", mup ? "with muP:" : "without:",
			          STEPS, how.rate, buf_str(&table), mup ? "\n" : "");
			passes |= mup && coordinate_passes(c);
		}
		buf_release(&table);
	}
	mem_free(c);
	json_decref(config);
	return status || passes ? status : err_set(e, "by muP sizes grow with the width: something is wrong");
}
