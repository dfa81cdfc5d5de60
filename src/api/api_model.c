/* api_model: kf_model, its tokens and its template. */
#include <string.h>

#include "api/handles.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "data/chat.h"
#include "data/prompts.h"
#include "ladder/adapted.h"

/* What `kungfu adapt` left: its base, with its adapter and its prompt where it has one; of a cascade the dear way. */
static int open_adapted(struct kf_model *m, const char *path, struct err *e)
{
	struct adapted a;

	if (adapted_open(&a, path, e) < 0)
		return -1;
	int status = 0;
	if (!a.model)
		status = err_set(e, "%s answers without a model (%s): kf_labeller_open takes it", path, a.kind);
	else if (a.prompt && !(m->before = jsonx_load_file(a.prompt, e)))
		status = -1;
	if (status == 0)
		status = model_open(&m->model, a.model, e);
	m->texts = a.asked && !strcmp(a.asked, ADAPTED_TEXTS);
	if (status == 0 && a.documents)
		status = model_tokenizer(&m->model, e) < 0 ||
		                         !(m->found = found_open(a.documents, m->model.tokenizer, e)) ?
		                 -1 :
		                 0;
	if (status == 0 && a.adapter) {
		status = adapter_classify(&m->model, a.adapter, e) < 0 ?
		                 -1 :
		                 adapter_load(&m->own, a.adapter, &m->model, e);
		m->has_own = status == 0;
	}
	adapted_close(&a);
	return status;
}

int kf_model_open(struct kf_model **out, const char *path, struct kf_error *error)
{
	struct call c;

	if (out)
		*out = NULL;
	if (call_open(&c, NULL, error) < 0)
		return KF_MISUSE;
	if (!out || !is_path(path))
		return call_misuse(&c, "%s was wanted, found %s", out ? "the path of a model" : "a place for the model",
		                   out && path ? path : "NULL");
	struct kf_model *m = mem_alloc(sizeof(*m));
	handle_init(&m->handle, KIND_MODEL, &c);
	int status = adapted_is(path) ? open_adapted(m, path, &c.err) : model_open(&m->model, path, &c.err);
	if (status == 0 && model_tokenizer(&m->model, &m->no_text) == 0) {
		status = chat_template(&m->chat, m->model.tokenizer, &c.err);
		if (status < 0)
			err_prefix(&c.err, "%s: its chat template", path);
	}
	if (status < 0) {
		kf_model_free(m);
		return call_end(&c, -1);
	}
	*out = m;
	return call_end(&c, 0);
}

void kf_model_free(struct kf_model *m)
{
	if (!handle_is(m, KIND_MODEL) || !handle_drop(m))
		return;
	found_close(m->found);
	template_free(m->chat);
	json_decref(m->before);
	if (m->has_own)
		adapter_release(&m->own);
	model_close(&m->model);
	mem_free(m);
}

int kf_model_describe(const struct kf_model *m, struct kf_model_facts *facts, struct kf_error *error)
{
	struct call c;

	if (call_begin(&c, m, KIND_MODEL, error) < 0)
		return KF_MISUSE;
	if (!facts)
		return call_misuse(&c, "facts is NULL");
	const struct config *f = &m->model.config;
	*facts = (struct kf_model_facts){
		.architecture = f->arch->name,
		.layers = f->n_layers,
		.width = f->C,
		.heads = f->H,
		.kv_heads = f->G,
		.vocabulary = f->V,
		.context = f->n_ctx,
		.bos = m->model.tokenizer ? tokenizer_bos(m->model.tokenizer) : -1,
		.eos = m->model.tokenizer ? tokenizer_eos(m->model.tokenizer) : -1,
		.has_template = m->chat != NULL,
		.tied = f->tied,
		.parameters = model_count(&m->model),
		.bytes = source_bytes(&m->model.source),
	};
	return call_end(&c, 0);
}

int model_text(const struct kf_model *m, struct err *e)
{
	return m->model.tokenizer ? 0 : err_set(e, "%s", m->no_text.msg);
}

struct text_codec model_codec(const struct kf_model *m)
{
	return (struct text_codec){ m->model.tokenizer, m->chat };
}

int model_before(const struct kf_model *m, bool templated, bool asks, struct fewshot **out, struct err *e)
{
	struct fewshot_options o = { .chat = templated, .template_ = m->chat != NULL, .asks = asks };

	return fewshot_load(out, m->before, &o, e);
}

/* Memory of a list is a block of its own, so the caller can have it. */
static int give_ids(struct call *c, int status, struct tokens *t, int32_t **ids, size_t *n)
{
	if (status < 0) {
		tokens_release(t);
		return call_end(c, status);
	}
	*ids = t->id;
	*n = t->n;
	return call_end(c, 0);
}

int kf_encode(const struct kf_model *m, const char *text, size_t length, int flags, int32_t **ids, size_t *n_ids,
              struct kf_error *error)
{
	struct call c;
	struct tokens t = { 0 };

	if (ids)
		*ids = NULL;
	if (call_begin(&c, m, KIND_MODEL, error) < 0)
		return KF_MISUSE;
	if (!text || !ids || !n_ids)
		return call_misuse(&c, "%s is NULL", !text ? "text" : !ids ? "ids" : "n_ids");
	if (flags & ~KF_SPECIAL)
		return call_misuse(&c, "flags is %d: 0 or KF_SPECIAL was wanted", flags);
	if (length == KF_WHOLE)
		length = strlen(text);
	int status = model_text(m, &c.err);
	if (status == 0)
		status = tokenizer_encode(m->model.tokenizer, text, length, flags ? TOKENIZE_SPECIAL : 0, &t, &c.err);
	return give_ids(&c, status, &t, ids, n_ids);
}

int kf_decode(const struct kf_model *m, const int32_t *ids, size_t n, int flags, char **text, size_t *length,
              struct kf_error *error)
{
	struct call c;
	struct buf bytes = BUF_INIT, repaired = BUF_INIT;
	size_t wrong;

	if (text)
		*text = NULL;
	if (call_begin(&c, m, KIND_MODEL, error) < 0)
		return KF_MISUSE;
	if ((!ids && n) || !text)
		return call_misuse(&c, "%s is NULL", text ? "ids" : "text");
	if (flags & ~KF_SPECIAL)
		return call_misuse(&c, "flags is %d: 0 or KF_SPECIAL was wanted", flags);
	if (model_text(m, &c.err) < 0)
		return call_end(&c, -1);
	int32_t size = (int32_t)tokenizer_size(m->model.tokenizer);
	if (n && !are_ids(ids, n, size, &wrong))
		return call_misuse(&c, "ids[%zu] is %d: the tokenizer has 0 to %d", wrong, ids[wrong], size - 1);
	tokenizer_decode(m->model.tokenizer, ids, n, !flags, &bytes);
	utf8_repair(&repaired, buf_str(&bytes), bytes.len);
	buf_release(&bytes);
	*text = buf_detach(&repaired, length);
	return call_end(&c, 0);
}

static json_t *message_json(const struct kf_message *m)
{
	json_t *role = json_string(m->role), *content = json_string(m->content), *j = json_object();

	if (role && content) { /* else one is not UTF-8 */
		json_object_set_new(j, "role", role);
		json_object_set_new(j, "content", content);
		return j;
	}
	json_decref(role);
	json_decref(content);
	json_decref(j);
	return NULL;
}

/* Before the conversation stands what the model puts there. */
static int put_before(const struct kf_model *m, json_t **list, struct err *e)
{
	struct fewshot *f;

	if (!m->before)
		return 0;
	if (model_before(m, true, true, &f, e) < 0)
		return -1;
	json_t *turns = fewshot_turns(f, NULL, e);
	if (turns) {
		json_t *all = fewshot_join(f, turns, *list);
		json_decref(*list);
		*list = all;
	}
	json_decref(turns);
	fewshot_free(f);
	return turns ? 0 : -1;
}

static int render_chat(const struct kf_model *m, const struct kf_message *messages, size_t n, struct tokens *t,
                       struct err *e)
{
	struct text_codec codec = model_codec(m);
	struct buf text = BUF_INIT;
	json_t *list = json_array();
	int status = model_text(m, e);
	if (status == 0 && !m->chat)
		status = err_set(e, "%s has no chat template", m->model.source.path);

	for (size_t i = 0; i < n && status == 0; i++) {
		json_t *j = message_json(&messages[i]);
		status = j ? json_array_append_new(list, j) : err_set(e, "message %zu is not UTF-8", i);
	}
	if (status == 0 && m->found)
		status = found_messages(m->found, &list, e);
	if (status == 0)
		status = put_before(m, &list, e);
	if (status == 0)
		status = chat_prompt(&codec, &(struct conversation){ .messages = list }, t, &text, e);
	buf_release(&text);
	json_decref(list);
	return status;
}

int kf_chat(const struct kf_model *m, const struct kf_message *messages, size_t n, int32_t **ids, size_t *n_ids,
            struct kf_error *error)
{
	struct call c;
	struct tokens t = { 0 };

	if (ids)
		*ids = NULL;
	if (call_begin(&c, m, KIND_MODEL, error) < 0)
		return KF_MISUSE;
	if (!messages || !n || !ids || !n_ids)
		return call_misuse(&c, "%s",
		                   !messages || !n ? "at least one message was wanted" :
		                   ids             ? "n_ids is NULL" :
		                                     "ids is NULL");
	for (size_t i = 0; i < n; i++)
		if (!messages[i].role || !messages[i].content)
			return call_misuse(&c, "message %zu has no %s", i, messages[i].role ? "content" : "role");
	return give_ids(&c, render_chat(m, messages, n, &t, &c.err), &t, ids, n_ids);
}

static int encode_placed(const struct kf_model *m, const char *text, size_t n, struct tokens *t, struct err *e)
{
	struct text_codec codec = model_codec(m);
	struct prompt_options o = { .raw = !m->chat || m->texts || json_object_get(m->before, "text") };
	struct fewshot *f;

	if (!m->before)
		return prompt_encode_text(&codec, text, n, &o, t, e);
	if (model_before(m, !o.raw, true, &f, e) < 0)
		return -1;
	int status = prompt_encode_after(f, &codec, text, n, &o, t, e);
	fewshot_free(f);
	return status;
}

/* With what its documents have, where there are some. */
static int encode_asked(const struct kf_model *m, const char *text, size_t n, struct tokens *t, struct err *e)
{
	struct buf placed = BUF_INIT;

	if (model_text(m, e) < 0)
		return -1;
	if (!m->found)
		return encode_placed(m, text, n, t, e);
	int status = found_text(m->found, text, n, &placed, e);
	if (status == 0)
		status = encode_placed(m, buf_str(&placed), placed.len, t, e);
	buf_release(&placed);
	return status;
}

int kf_ask(const struct kf_model *m, const char *text, size_t length, int32_t **ids, size_t *n_ids,
           struct kf_error *error)
{
	struct call c;
	struct tokens t = { 0 };
	size_t bad;

	if (ids)
		*ids = NULL;
	if (call_begin(&c, m, KIND_MODEL, error) < 0)
		return KF_MISUSE;
	if (!text || !ids || !n_ids)
		return call_misuse(&c, "%s is NULL", !text ? "text" : !ids ? "ids" : "n_ids");
	if (length == KF_WHOLE)
		length = strlen(text);
	int status = utf8_valid(text, length, &bad) ? 0 : err_set(&c.err, "the text is no UTF-8 at offset %zu", bad);
	if (status == 0)
		status = encode_asked(m, text, length, &t, &c.err);
	return give_ids(&c, status, &t, ids, n_ids);
}
