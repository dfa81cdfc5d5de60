/* api_placed: what `kungfu adapt` left puts before what is asked: what its documents have, and its prompt. The index
 * with its embedder is asked by any thread, one at a time; they have no threads of their own, as a question is a short
 * text. */
#include <string.h>

#include "api/handles.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "model/prepare.h"

struct found {
	pthread_mutex_t asking;
	struct pool *pool;
	struct device device;
	struct sources sources;
};

static void release_embedder(void *holder)
{
	model_close(holder);
	mem_free(holder);
}

static int open_embedder(struct found *f, const struct kernels *k, struct err *e)
{
	const char *path = index_settings(f->sources.index)->embedder;
	struct index_embedder *x = &f->sources.embedder;
	struct model *m = mem_alloc(sizeof(*m));

	if (model_open(m, path, e) < 0) {
		mem_free(m);
		return err_prefix(e, "the index's embedder");
	}
	*x = (struct index_embedder){ .model = m, .holder = m, .release = release_embedder };
	if (model_prepare(m, f->pool, compute_from_name("f32", k), PREPARE_SCORE, e) < 0 ||
	    index_embedder_begin(x, &f->device, 2048, e) < 0)
		return err_prefix(e, "the index's embedder");
	return index_embedder_is_of(x, f->sources.index, path, e);
}

struct found *found_open(const json_t *documents, const struct tokenizer *t, struct err *e)
{
	const struct kernels *k = kernels_get(NULL, e);
	struct sources_how how;

	if (!k)
		return NULL;
	struct found *f = mem_alloc(sizeof(*f));
	*f = (struct found){ .pool = pool_new(1) };
	pthread_mutex_init(&f->asking, NULL);
	f->device = device_cpu(k, f->pool);
	sources_how_of(&how, documents);
	int status = sources_begin(&f->sources, &how, f->pool, t, e);
	f->sources.texts = true;
	if (status == 0 && f->sources.retriever != RETRIEVER_BM25)
		status = open_embedder(f, k, e);
	if (status < 0) {
		found_close(f);
		return NULL;
	}
	return f;
}

void found_close(struct found *f)
{
	if (!f)
		return;
	sources_close(&f->sources);
	pool_free(f->pool);
	pthread_mutex_destroy(&f->asking);
	mem_free(f);
}

static int look_for(struct found *f, const char *text, size_t n, struct buf *out, json_t **list, struct err *e)
{
	pthread_mutex_lock(&f->asking);
	int status = sources_text(&f->sources, text, n, out, list, e);
	pthread_mutex_unlock(&f->asking);
	return status;
}

int found_text(struct found *f, const char *text, size_t n, struct buf *out, struct err *e)
{
	json_t *list;
	int status = look_for(f, text, n, out, &list, e);

	json_decref(list);
	return status;
}

static int found_rows(struct found *f, const struct rows *rows, struct rows *out, struct err *e)
{
	pthread_mutex_lock(&f->asking);
	int status = sources_rows(&f->sources, rows, out, NULL, e);
	pthread_mutex_unlock(&f->asking);
	return status;
}

int found_messages(struct found *f, json_t **messages, struct err *e)
{
	json_t *made, *list;

	pthread_mutex_lock(&f->asking);
	int status = sources_messages(&f->sources, *messages, f->sources.num, &made, &list, e);
	pthread_mutex_unlock(&f->asking);
	json_decref(list);
	if (status == 0) {
		json_decref(*messages);
		*messages = made;
	} else {
		json_decref(made);
	}
	return MIN(status, 0);
}

int placed_rows_make(struct placed_rows *p, const struct kf_model *m, bool templated, const struct rows *rows,
                     struct err *e)
{
	struct fewshot *f;

	*p = (struct placed_rows){ .rows = rows };
	if (m->found && found_rows(m->found, rows, &p->found, e) < 0)
		return -1;
	if (m->found)
		p->rows = &p->found;
	if (!m->before)
		return 0;
	if (model_before(m, templated, false, &f, e) < 0)
		return -1;
	int status = fewshot_apply(f, p->rows, &p->made, e);
	p->rows = &p->made;
	fewshot_free(f);
	return status;
}

void placed_rows_release(struct placed_rows *p)
{
	rows_release(&p->made);
	rows_release(&p->found);
}

int kf_find(const struct kf_model *m, const char *text, size_t length, char **found, struct kf_error *error)
{
	struct call c;
	struct buf out = BUF_INIT;
	json_t *list = NULL;
	size_t bad;

	if (found)
		*found = NULL;
	if (call_begin(&c, m, KIND_MODEL, error) < 0)
		return KF_MISUSE;
	if (!text || !found)
		return call_misuse(&c, "%s is NULL", text ? "found" : "text");
	if (length == KF_WHOLE)
		length = strlen(text);
	int status = utf8_valid(text, length, &bad) ? 0 : err_set(&c.err, "the text is no UTF-8 at offset %zu", bad);
	if (status == 0 && m->found)
		status = look_for(m->found, text, length, &out, &list, &c.err);
	buf_release(&out);
	if (status == 0)
		*found = list ? jsonx_line(list) : mem_strdup("[]");
	json_decref(list);
	return call_end(&c, status);
}
