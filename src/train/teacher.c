/* teacher: see teacher.h. */
#include "train/teacher.h"

#include <string.h>

#include "base/mem.h"
#include "model/new_tokens.h"
#include "model/resident.h"
#include "token/tokenizer.h"

/* The same token under each number: how a text becomes tokens is the student's affair. */
static int check_vocabulary(const struct model *teacher, const struct model *student, struct err *e)
{
	if (teacher->config.V != student->config.V)
		return err_set(e, "it has %d tokens, %s %d: a teacher across vocabularies is not there yet",
		               teacher->config.V, student->source.path, student->config.V);
	for (int32_t id = 0; id < student->config.V; id++) {
		const char *a = tokenizer_text(teacher->tokenizer, id), *b = tokenizer_text(student->tokenizer, id);
		if (a && b && strcmp(a, b) != 0)
			return err_set(e, "its token %d is \"%s\", that of %s \"%s\": a teacher across vocabularies "
			               "is not there yet", id, a, student->source.path, b);
	}
	return 0;
}

static int open_adapter(struct teacher *t, const char *path, struct err *e)
{
	const struct overlay *o = &t->adapter.overlay;

	if (adapter_load(&t->adapter, path, &t->own, e) < 0)
		return err_prefix(e, "--teacher-adapter");
	t->has_adapter = true;
	t->adapter.overlay.frozen = true;
	return overlays_virtual(o) || overlays_invocations(o) ?
	               err_set(e, "--teacher-adapter %s: one with virtual tokens, or that is invoked, cannot teach yet",
	                       path) :
	               0;
}

int teacher_open(struct teacher *t, const char *path, const char *adapter, const struct model *student, struct err *e)
{
	t->model = student;
	if (!path && !adapter)
		return 0;
	t->model = &t->own;
	path = path ? path : student->source.path;
	if (model_open(&t->own, path, e) < 0)
		return -1;
	if (model_want_causal(&t->own, e) < 0 || model_tokenizer(&t->own, e) < 0 ||
	    (adapter && new_tokens_load(&t->own, adapter, e) < 0) || check_vocabulary(&t->own, student, e) < 0)
		return err_prefix(e, "--teacher %s", path);
	return adapter ? open_adapter(t, adapter, e) : 0;
}

int teacher_plan(struct teacher *t, struct device *d, const struct batch_cap *cap, int32_t more,
                 const struct forest_options *forest, struct err *e)
{
	struct batch_cap own = *cap;
	void *rows;

	own.columns = NULL;
	own.rows += own.docs * more;
	own.keys += own.docs * more;
	t->forest = *forest;
	t->forest.virtual_tokens = 0;
	model_pass_begin(&t->pass, d, &own, t->model, t->has_adapter ? &t->adapter.overlay : NULL, false);
	t->pass.graph.as_trained = true;
	t->pass.result = graph_head_rows(&t->pass.graph, graph_hidden(&t->pass.graph));
	tape_keep(&t->pass.pass.tape, t->pass.result);
	t->rows_bytes = (size_t)own.targets * (size_t)t->model->config.C * sizeof(float);
	t->of_label = mem_array((size_t)own.labels, sizeof(*t->of_label));
	t->of_doc = mem_array((size_t)own.docs, sizeof(*t->of_doc));
	if (pass_plan(&t->pass.pass, NULL, e) < 0 || mem_map(&rows, t->rows_bytes, "what the teacher says", e) < 0)
		return -1;
	t->rows = rows;
	return 0;
}

size_t teacher_bytes(const struct teacher *t)
{
	size_t owned = 0, read = t->model == &t->own ? model_read_bytes(t->model, &(struct model_reads){ 0 }, &owned) :
	                                               0;

	size_t adapter = t->has_adapter ? (t->adapter.overlay.params.n + t->adapter.overlay.fixed.n) * sizeof(float) :
	                                  0;

	return pass_bytes(&t->pass.pass) + t->rows_bytes + read + owned + adapter;
}

int teacher_start(struct teacher *t, struct err *e)
{
	mem_touch(t->rows, t->rows_bytes);
	return model_pass_start(&t->pass, NULL, e);
}

/* of_doc: where the labels of each document begin, were they sorted by documents. */
static void find_documents(struct teacher *t, const struct batch *b)
{
	int32_t n = 0;

	for (int32_t d = 0; d < b->n_docs; d++) {
		t->of_doc[d] = n;
		n += b->doc_labels[d];
	}
}

/* Both packed the same documents' answers, each in its own order; the k-th label of a document is the same token. */
static void put_rows(struct teacher *t, const struct batch *student)
{
	const struct batch *own = &t->pass.pass.batch;
	const float *said = model_pass_result(&t->pass);
	size_t C = (size_t)t->model->config.C;

	find_documents(t, own);
	for (int32_t i = 0; i < own->n_labels; i++)
		t->of_label[t->of_doc[own->label_doc[i]]++] = own->label_target[i];
	find_documents(t, student);
	for (int32_t i = 0; i < student->n_labels; i++)
		memcpy(t->rows + (size_t)student->label_target[i] * C,
		       said + (size_t)t->of_label[t->of_doc[student->label_doc[i]]++] * C, C * sizeof(float));
}

int teacher_run(struct teacher *t, const struct document *const *docs, const struct batch *student, struct work *work)
{
	struct batch *b = &t->pass.pass.batch;

	forest_fill(b, docs, (size_t)student->n_docs, &t->forest);
	if (b->n_labels != student->n_labels)
		BUG("%d tokens of the teacher beside %d of the student", b->n_labels, student->n_labels);
	if (pass_step(&t->pass.pass) < 0)
		return -1;
	struct live live = batch_live(b);
	struct work now = pass_work(&t->pass.pass, &live);
	if (work) {
		work->flops += now.flops;
		work->int_ops += now.int_ops;
	}
	put_rows(t, student);
	return 0;
}

void teacher_close(struct teacher *t)
{
	model_pass_release(&t->pass);
	if (t->rows)
		mem_unmap(t->rows, t->rows_bytes);
	mem_free(t->of_label);
	mem_free(t->of_doc);
	if (t->has_adapter)
		adapter_release(&t->adapter);
	if (t->model == &t->own)
		model_close(&t->own);
	*t = (struct teacher){ 0 };
}
