/* frozen: see frozen.h. */
#include "learn/frozen.h"

#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"

static int one_document(struct frozen *f, const struct model *m, const struct text_codec *c, const struct row *r,
                        const struct frozen_options *o, struct columns *seen, struct err *e)
{
	bool encoder = m->config.arch->encoder;
	struct document *d = &f->items[f->n];
	struct asked a;
	int status = asked_tokens(&a, r, c, encoder, o->apply_chat_template, o->max_length, seen, e);

	if (status == 0) {
		*d = (struct document){ .n = (int32_t)a.ids.n, .n_learn = 1, .file = r->file, .line = r->line,
			                .choice = -1, .adapter = -1, .second = model_types(m) > 1 ? a.second : 0 };
		d->ids = arena_array(&f->mem, a.ids.n, sizeof(*d->ids));
		d->learn = arena_array(&f->mem, a.ids.n, 1);
		memcpy(d->ids, a.ids.id, a.ids.n * sizeof(*d->ids));
		d->learn[encoder ? 0 : d->n - 1] = 1;
		f->docs[f->n++] = d;
		f->longest = MAX(f->longest, d->n);
		f->tokens += d->n;
		f->n_cut += a.cut > 0;
	}
	tokens_release(&a.ids);
	return status;
}

int frozen_open(struct frozen *f, struct model *m, const struct overlay *o, const struct template *chat,
                struct device *d, const struct rows *r, const struct frozen_options *options, struct err *e)
{
	const struct text_codec codec = { m->tokenizer, chat };
	struct columns seen = { 0 };
	int status = 0;

	*f = (struct frozen){ .longest = 1 };
	f->items = arena_array(&f->mem, r->n + 1, sizeof(*f->items));
	f->docs = arena_array(&f->mem, r->n + 1, sizeof(*f->docs));
	for (size_t i = 0; i < r->n && status == 0; i++)
		status = one_document(f, m, &codec, &r->items[i], options, &seen, e);
	columns_release(&seen);
	const struct features_options fo = { options->micro_batch_tokens, f->longest, options->pooling, options->layers,
		                             options->n_layers };
	return status < 0 ? -1 : features_new(&f->features, m, o, d, &fo, e);
}

int frozen_run(struct frozen *f, float *out, int (*progress)(void *ctx, size_t done, size_t total), void *ctx,
               struct err *e)
{
	return features_run(f->features, f->docs, f->n, out, progress, ctx, e);
}

void frozen_close(struct frozen *f)
{
	features_free(f->features);
	arena_release(&f->mem);
	*f = (struct frozen){ 0 };
}

int frozen_facts(struct frozen_options *o, const json_t *j, const char *dir, const int *layer, const char **model,
                 const char **adapter, struct err *e)
{
	const char *pooling;
	long long max_length;
	int apply;

	if (jsonx_string(j, "base_model_name_or_path", NULL, model, e) < 0 ||
	    jsonx_string(j, "adapter", NULL, adapter, e) < 0 || jsonx_string(j, "pooling", "last", &pooling, e) < 0 ||
	    jsonx_bool(j, "apply_chat_template", 0, &apply, e) < 0 ||
	    jsonx_int(j, "max_length", 0, &max_length, e) < 0)
		return err_prefix(e, "%s/learner.json", dir);
	if (!*model)
		return err_set(e, "%s/learner.json: states are read and no base_model_name_or_path says of which model",
		               dir);
	*o = (struct frozen_options){ .layers = layer, .n_layers = 1, .apply_chat_template = apply,
		                      .max_length = (int32_t)MIN(max_length, INT32_MAX) };
	o->pooling = strcmp(pooling, "mean") ? FEATURES_LAST : FEATURES_MEAN;
	return 0;
}

size_t frozen_layers(const struct model *m, size_t rows, size_t bytes, int *layers)
{
	size_t all = (size_t)features_layers(m), each = rows * (size_t)m->config.C * sizeof(float) + 1,
	       most = MAX(MIN(all, bytes / each), 1), step = (all + most - 1) / most, n = 0;

	for (size_t i = (all - 1) % step; i < all; i += step)
		layers[n++] = (int)i;
	return n;
}
