/* api_data: kf_data: rows, their documents, and what lint has to say of them. */
#include "api/handles.h"
#include "base/mem.h"
#include "data/lint.h"

struct kf_data {
	struct handle handle;
	struct kf_model *model;       /* shared */
	struct rows rows;             /* as they are read */
	struct placed_rows placed;
	struct documents documents;
	struct lint lint;
};

struct kf_document document_shown(const struct document *d)
{
	return (struct kf_document){ .ids = d->ids,
		                     .learn = d->learn,
		                     .n = (size_t)d->n,
		                     .file = d->file,
		                     .line = d->line,
		                     .choice = d->choice };
}

static int read_data(struct kf_data *d, const char *path, const struct kf_data_options *o, struct err *e)
{
	const struct config *f = &d->model->model.config;
	struct text_codec codec = model_codec(d->model);
	struct lint_options lint = {
		.document = { .max_length = o->max_length ? o->max_length : f->n_ctx, .packing = o->packing,
		              .apply_chat_template = o->apply_chat_template, .eval_choices = o->all_choices },
		.vocabulary = f->V,
	};

	if (rows_load(&d->rows, path, e) < 0)
		return -1;
	if (d->rows.n == 0)
		return err_set(e, "%s holds no rows", path);
	return placed_rows_make(&d->placed, d->model, o->apply_chat_template, &d->rows, e) < 0 ?
	               -1 :
	               lint_documents(&d->lint, &d->documents, d->placed.rows, &codec, &lint, e);
}

int kf_data_open(struct kf_data **out, struct kf_model *m, const char *path, const struct kf_data_options *options,
                 struct kf_error *error)
{
	static const struct kf_data_options defaults;
	struct call c;

	if (out)
		*out = NULL;
	if (call_begin(&c, m, KIND_MODEL, error) < 0)
		return KF_MISUSE;
	if (!out || !is_path(path))
		return call_misuse(&c, "%s was wanted, found %s", out ? "a file of rows" : "a place for the data",
		                   out && path ? path : "NULL");
	options = options ? options : &defaults;
	int32_t most = m->model.config.n_ctx;
	if (options->max_length && (options->max_length < 2 || options->max_length > most))
		return call_misuse(&c, "max_length is %d: 2 to %d, the model's context, was wanted",
		                   options->max_length, most);
	if (options->reserved_flags || !is_zero(options->reserved, sizeof(options->reserved)))
		return call_misuse(&c, "reserved must be zero");
	struct kf_data *d = mem_alloc(sizeof(*d));
	handle_init(&d->handle, KIND_DATA, &c);
	d->model = handle_share(m);
	if (model_text(m, &c.err) < 0 || read_data(d, path, options, &c.err) < 0) {
		kf_data_free(d);
		return call_end(&c, -1);
	}
	*out = d;
	return call_end(&c, 0);
}

void kf_data_free(struct kf_data *d)
{
	if (!handle_is(d, KIND_DATA) || !handle_drop(d))
		return;
	lint_release(&d->lint);
	documents_release(&d->documents);
	placed_rows_release(&d->placed);
	rows_release(&d->rows);
	kf_model_free(d->model);
	mem_free(d);
}

size_t kf_data_count(const struct kf_data *d) { return handle_is(d, KIND_DATA) ? d->documents.n : 0; }

int kf_data_document(const struct kf_data *d, size_t i, struct kf_document *document, struct kf_error *error)
{
	struct call c;

	if (call_begin(&c, d, KIND_DATA, error) < 0)
		return KF_MISUSE;
	if (!document || i >= d->documents.n)
		return document ? call_misuse(&c, "document %zu of %zu", i, d->documents.n) :
		                  call_misuse(&c, "document is NULL");
	*document = document_shown(&d->documents.items[i]);
	return call_end(&c, 0);
}

int kf_data_lint(const struct kf_data *d, struct kf_lint *lint, struct kf_error *error)
{
	struct call c;

	if (call_begin(&c, d, KIND_DATA, error) < 0)
		return KF_MISUSE;
	if (!lint)
		return call_misuse(&c, "lint is NULL");
	const struct lint *l = &d->lint;
	*lint = (struct kf_lint){
		.rows = d->rows.n,
		.documents = l->n,
		.tokens = l->tokens,
		.learnt = l->learnt,
		.ended = l->n_ended,
		.truncated = l->n_truncated,
		.split = l->n_split,
		.rewritten = l->n_rewritten,
		.duplicates = l->duplicates.n,
		.refused = l->refused.n,
		.shortest = l->min,
		.median = l->median,
		.p95 = l->p95,
		.longest = l->max,
	};
	return call_end(&c, 0);
}

int kf_data_finding(const struct kf_data *d, size_t i, struct kf_finding *finding, struct kf_error *error)
{
	struct call c;

	if (call_begin(&c, d, KIND_DATA, error) < 0)
		return KF_MISUSE;
	size_t kept = findings_kept(&d->lint.refused);
	if (!finding || i >= kept)
		return finding ? call_misuse(&c, "finding %zu of %zu", i, kept) : call_misuse(&c, "finding is NULL");
	const struct finding *f = &d->lint.refused.first[i];
	*finding = (struct kf_finding){ .file = f->file, .text = f->text, .line = f->line };
	return call_end(&c, 0);
}
