/* drafting: a draft model beside the model, where one is named: of the same tokens, with the same cache, computed as
 * that model's files are best computed. */
#include "cmd/generate/drafting.h"

#include <string.h>

#include "base/mem.h"

enum { BY_MODEL = 8 };

int drafting_most(const struct draft_options *o)
{
	return o->most ? (int)o->most : o->model ? BY_MODEL : 0;
}

/* Rows of the tables beyond the tokens may be more or fewer. */
static int check_tokens(const struct model *m, const struct model *draft, const char *path, struct err *e)
{
	const struct tokenizer *a = m->tokenizer, *b = draft->tokenizer;
	size_t n = tokenizer_size(a);

	if (n != tokenizer_size(b))
		return err_set(e, "--model-draft %s has %zu tokens, the model has %zu: it guesses no tokens of its",
		               path, tokenizer_size(b), n);
	for (size_t i = 0; i < n; i++) {
		const char *x = tokenizer_text(a, (int32_t)i), *y = tokenizer_text(b, (int32_t)i);
		if (x != y && (!x || !y || strcmp(x, y)))
			return err_set(e, "--model-draft %s: token %zu is another one than the model's", path, i);
	}
	return 0;
}

/* Does the model go back to where a guess was wrong? */
static int check_model(const struct model *m, const struct session_size *size, struct app *app, struct err *e)
{
	struct session *s;
	struct session_size small = { .n_ctx = MIN(size->n_ctx, 16), .cache = size->cache };

	if (session_new(&s, (struct model *)(uintptr_t)m, NULL, app->device, &small, e) < 0)
		return -1;
	bool rewinds = session_rewinds(s);
	session_free(s);
	return rewinds ? 0 :
	                 err_set(e, "--draft-max: a model of %s keeps states, which cannot go back to where a guess "
	                            "was wrong", m->config.arch->name);
}

static int open_draft(struct drafting *d, struct app *app, const struct draft_options *o, const struct model *m,
                      const struct session_size *size, struct err *e)
{
	const char *compute = compute_name(m->compute);
	struct session_size own = { .n_sequences = size->n_sequences, .cache = size->cache };

	if (loaded_open(&d->l, o->model, NULL, e) < 0)
		return -1;
	own.n_ctx = MIN(size->n_ctx, d->l.model.config.n_ctx);
	if (loaded_text(&d->l, e) < 0 || check_tokens(m, &d->l.model, o->model, e) < 0 ||
	    model_prepare(&d->l.model, app->pool, compute_from_name(compute, app->kernels), PREPARE_GENERATE, e) < 0 ||
	    session_new(&d->session, &d->l.model, loaded_overlay(&d->l), app->device, &own, e) < 0) {
		loaded_close(&d->l);
		return -1;
	}
	return 0;
}

int drafting_open(struct drafting *d, struct app *app, const struct draft_options *o, const struct model *m,
                  const struct session_size *size, struct err *e)
{
	*d = (struct drafting){ 0 };
	if (!drafting_most(o))
		return 0;
	if (check_model(m, size, app, e) < 0 || (o->model && open_draft(d, app, o, m, size, e) < 0))
		return -1;
	d->drafter = drafter_new(drafting_most(o), MAX(size->n_sequences, 1), d->session);
	return 0;
}

size_t drafting_bytes(const struct drafting *d)
{
	struct model_reads reads = { 0 };
	size_t owned, work, cache;

	if (!d->session)
		return 0;
	session_bytes(d->session, &work, &cache);
	size_t read = model_read_bytes(&d->l.model, &reads, &owned);
	return read + owned + work + cache;
}

const char *drafting_text(size_t guessed, size_t right, char out[80])
{
	snprintf(out, 80, guessed ? "; %zu of %zu guessed tokens were right" : "", right, guessed);
	return out;
}

void drafting_close(struct drafting *d)
{
	drafter_free(d->drafter);
	if (d->session) {
		session_free(d->session);
		loaded_close(&d->l);
	}
	*d = (struct drafting){ 0 };
}
