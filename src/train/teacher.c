/* teacher: see teacher.h. */
#include "train/teacher.h"

#include <string.h>

#include "base/mem.h"
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

int teacher_open(struct teacher *t, const char *path, const struct model *student, struct err *e)
{
	t->model = student;
	if (!path)
		return 0;
	t->model = &t->own;
	if (model_open(&t->own, path, e) < 0)
		return -1;
	if (model_want_causal(&t->own, e) < 0 || model_tokenizer(&t->own, e) < 0 ||
	    check_vocabulary(&t->own, student, e) < 0)
		return err_prefix(e, "--teacher %s", path);
	return 0;
}

int teacher_plan(struct teacher *t, struct device *d, const struct overlay *o, const struct batch_cap *cap,
                 const struct forest_options *forest, struct err *e)
{
	struct batch_cap own = *cap;
	void *rows;

	own.columns = NULL;
	t->forest = *forest;
	t->forest.virtual_tokens = 0;
	model_pass_begin(&t->pass, d, &own, t->model, o, false);
	t->pass.graph.as_trained = true;
	t->pass.result = graph_head_rows(&t->pass.graph, graph_hidden(&t->pass.graph));
	tape_keep(&t->pass.pass.tape, t->pass.result);
	t->rows_bytes = (size_t)own.targets * (size_t)t->model->config.C * sizeof(float);
	if (pass_plan(&t->pass.pass, NULL, e) < 0 || mem_map(&rows, t->rows_bytes, "what the teacher says", e) < 0)
		return -1;
	t->rows = rows;
	return 0;
}

size_t teacher_bytes(const struct teacher *t)
{
	size_t owned = 0, read = t->model == &t->own ? model_read_bytes(t->model, &(struct model_reads){ 0 }, &owned) :
	                                               0;

	return pass_bytes(&t->pass.pass) + t->rows_bytes + read + owned;
}

int teacher_start(struct teacher *t, struct err *e)
{
	mem_touch(t->rows, t->rows_bytes);
	return model_pass_start(&t->pass, NULL, e);
}

int teacher_run(struct teacher *t, const struct document *const *docs, size_t n, struct work *work)
{
	struct batch *b = &t->pass.pass.batch;

	forest_fill(b, docs, n, &t->forest);
	if (pass_step(&t->pass.pass) < 0)
		return -1;
	struct live live = batch_live(b);
	struct work now = pass_work(&t->pass.pass, &live);
	if (work) {
		work->flops += now.flops;
		work->int_ops += now.int_ops;
	}
	memcpy(t->rows, model_pass_result(&t->pass),
	       (size_t)b->n_targets * (size_t)t->model->config.C * sizeof(float));
	return b->n_targets;
}

void teacher_close(struct teacher *t)
{
	model_pass_release(&t->pass);
	if (t->rows)
		mem_unmap(t->rows, t->rows_bytes);
	if (t->model == &t->own)
		model_close(&t->own);
	*t = (struct teacher){ 0 };
}
