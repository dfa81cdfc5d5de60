/* reward_model: prompts and answers become documents of a model that classifies. See reward_model.h. */
#include "train/reward_model.h"

#include <string.h>

#include "adapt/adapter.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "data/chat.h"
#include "data/document.h"
#include "data/enclosed.h"
#include "data/shape.h"
#include "infer/labeller.h"
#include "model/new_tokens.h"
#include "model/prepare.h"
#include "train/reward.h"

enum { TOKENS = 1024 };

static const char here[] = "{prompt}", there[] = "{answer}";

/* --- reading --- */

static void fill_form(const char *form, const char *prompt, const char *answer, struct buf *out)
{
	for (const char *at = form; *at;) {
		if (!strncmp(at, here, strlen(here))) {
			buf_adds(out, prompt);
			at += strlen(here);
		} else if (!strncmp(at, there, strlen(there))) {
			buf_adds(out, answer);
			at += strlen(there);
		} else {
			buf_addc(out, *at++);
		}
	}
}

static int one_text(const struct reward_reader *r, const char *prompt, const char *answer, struct document *d,
                    struct arena *mem, struct err *e)
{
	const struct model *m = r->model;
	bool encoder = m->config.arch->encoder, pair = encoder && !r->form;
	struct buf text = BUF_INIT;

	if (pair)
		buf_adds(&text, prompt);
	else
		fill_form(r->form ? r->form : "{prompt}\n{answer}", prompt, answer, &text);
	struct enclosed x = {
		.text = buf_str(&text), .n = text.len, .pair = pair ? answer : NULL, .n_pair = pair ? strlen(answer) : 0
	};
	int status = enclose(&x, m->tokenizer, (size_t)m->config.n_ctx, e);
	if (status == 0)
		enclosed_document(d, mem, &x, encoder);
	d->second = model_types(m) > 1 ? x.second : 0;
	tokens_release(&x.ids);
	buf_release(&text);
	return status;
}

/* As the template writes it; its state after the last token is read, an encoder's after the first. */
static int one_conversation(const struct reward_reader *r, const char *prompt, const char *answer, struct document *d,
                            struct arena *mem, struct err *e)
{
	const struct text_codec codec = { r->model->tokenizer, r->chat };
	struct document_options o = { .max_length = r->model->config.n_ctx };
	json_t *row = json_pack("{s:[{s:s, s:o}, {s:s, s:o}]}", "messages", "role", "user", "content",
	                        jsonx_text(prompt, strlen(prompt)), "role", "assistant", "content",
	                        jsonx_text(answer, strlen(answer)));
	struct row one = { row, "--reward-model", 1 };
	struct rows rows = { .items = &one, .n = 1, .shape = shape_of(row) };
	struct documents docs;
	int status = documents_make(&docs, &rows, &codec, &o, e);

	if (status == 0) {
		const struct document *x = &docs.items[0];
		d->n = x->n;
		d->n_learn = 1;
		d->ids = arena_array(mem, (size_t)x->n, sizeof(*d->ids));
		d->learn = arena_array(mem, (size_t)x->n, 1);
		memcpy(d->ids, x->ids, (size_t)x->n * sizeof(*d->ids));
		d->learn[r->model->config.arch->encoder ? 0 : x->n - 1] = 1;
		documents_release(&docs);
	}
	json_decref(row);
	return status;
}

static int label(const struct reward_reader *r, struct document *docs, size_t n, int32_t longest,
                 int (*tick)(void *ctx, size_t done, size_t total), double *out, struct err *e)
{
	const struct document **all = mem_array(n + 1, sizeof(struct document *));
	float *z = mem_array(n + 1, sizeof(*z));
	struct labeller *x = NULL;

	for (size_t i = 0; i < n; i++)
		all[i] = &docs[i];
	int status = labeller_new(&x, r->model, r->overlay, r->device, TOKENS, longest, e);
	if (status == 0)
		status = labeller_run(x, all, n, z, tick, NULL, e);
	for (size_t i = 0; i < n && status == 0; i++)
		out[i] = (double)z[i];
	labeller_free(x);
	mem_free(z);
	mem_free(all);
	return status;
}

int reward_read(const struct reward_reader *r, const char *const *prompts, const char *const *answers, size_t n,
                int (*tick)(void *ctx, size_t done, size_t total), double *out, struct err *e)
{
	bool chat = r->chat && !r->form;
	struct arena mem = ARENA_INIT;
	struct document *docs = arena_array(&mem, n + 1, sizeof(*docs));
	int32_t longest = 1;
	int status = 0;

	for (size_t i = 0; i < n && status == 0; i++) {
		docs[i] = (struct document){ .file = "--reward-model", .line = i + 1, .choice = -1, .adapter = -1 };
		status = (chat ? one_conversation : one_text)(r, prompts[i], answers[i], &docs[i], &mem, e);
		longest = MAX(longest, docs[i].n);
	}
	if (status == 0)
		status = label(r, docs, n, longest, tick, out, e);
	arena_release(&mem);
	return status;
}

int reward_reader_check(const struct reward_reader *r, const char *path, struct err *e)
{
	if (r->model->labels && r->model->labels->n == 1)
		return 0;
	return err_set(e, "%s has no head with one output: kungfu tune --objective regression trains one", path);
}

const char *reward_form_contradiction(const char *model, const char *form)
{
	if (form && !model)
		return "--reward-template is of --reward-model";
	if (form && (!strstr(form, here) || !strstr(form, there)))
		return "--reward-template: {prompt} and {answer} were wanted in it";
	return NULL;
}

char *reward_model_base(const char *path)
{
	char *file = io_join(path, "adapter_config.json");
	json_t *j = io_exists(file) ? jsonx_load_file(file, &(struct err){ .msg = "" }) : NULL;
	const char *base = json_string_value(json_object_get(j, "base_model_name_or_path"));
	char *out = base ? mem_strdup(base) : NULL;

	json_decref(j);
	mem_free(file);
	return out;
}

/* --- one of its own --- */

struct reward_model {
	struct model model;
	struct adapter adapter;
	bool open, has_adapter;
	struct template *chat;
	struct reward_reader reader;
};

static int open_both(struct reward_model *m, const char *path, const char *base, struct err *e)
{
	if (model_open(&m->model, base ? base : path, e) < 0)
		return -1;
	m->open = true;
	if (!base)
		return 0;
	if (new_tokens_load(&m->model, path, e) < 0 || adapter_classify(&m->model, path, e) < 0 ||
	    adapter_load(&m->adapter, path, &m->model, e) < 0)
		return -1;
	m->has_adapter = true;
	return 0;
}

/* It is asked once, so that one that cannot answer shows before anything is spent. */
static int open_reader(struct reward_model *m, const struct reward_options *o, struct device *d, struct err *e)
{
	const char *nothing = "";
	double x;

	m->reader = (struct reward_reader){ .model = &m->model, .device = d, .form = o->template_,
		                            .overlay = m->has_adapter ? &m->adapter.overlay : NULL };
	if (reward_reader_check(&m->reader, o->model, e) < 0 ||
	    model_prepare(&m->model, d->pool, compute_from_name("f32", d->kernels), PREPARE_SCORE, e) < 0 ||
	    model_tokenizer_whole(&m->model, e) < 0 || chat_template(&m->chat, m->model.tokenizer, e) < 0)
		return -1;
	m->reader.chat = m->chat;
	return reward_read(&m->reader, &nothing, &nothing, 1, NULL, &x, e);
}

int reward_model_open(struct reward_model **out, const struct reward_options *o, struct device *d, struct err *e)
{
	struct reward_model *m = mem_alloc(sizeof(*m));
	char *base = reward_model_base(o->model);

	*out = m;
	int status = open_both(m, o->model, base, e) < 0 ? -1 : open_reader(m, o, d, e);
	mem_free(base);
	return status < 0 ? err_prefix(e, "--reward-model") : 0;
}

void reward_model_close(struct reward_model *m)
{
	if (!m)
		return;
	template_free(m->chat);
	if (m->has_adapter)
		adapter_release(&m->adapter);
	if (m->open)
		model_close(&m->model);
	mem_free(m);
}

size_t reward_model_bytes(const struct reward_model *m)
{
	size_t sum = 0;

	for (size_t i = 0; i < m->model.n_weights; i++)
		sum += m->model.weights[i].bytes;
	return sum;
}

const struct reward_reader *reward_model_reader(const struct reward_model *m) { return &m->reader; }
