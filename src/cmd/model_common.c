/* model_common: a model opened with an adapter and a template, prepared for its arithmetic, and what that takes, as
 * several commands do it. */
#include "cmd/model_common.h"

#include <math.h>
#include <string.h>

#include "adapt/multi_adapter.h"
#include "model/new_tokens.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sentence.h"
#include "data/chat.h"
#include "cmd/metering.h"
#include "ladder/adapted.h"
#include "serve/aliases.h"
#include "train/reward_model.h"
#include "op/timing.h"
#include "token/tokenizer.h"

/* How a model is read: its linears in 4 bits, or as they are (NULL). */
struct reading { const struct four_bit_options *four_bit; struct pool *pool; };

static int open_model(struct loaded *l, const struct reading *r, const char *model, struct err *e)
{
	if (model_open(&l->model, model, e) < 0)
		return -1;
	metering_in("model", model, NULL);
	if (!r->four_bit || model_load_in_4bit(&l->model, r->four_bit, r->pool, e) == 0)
		return 0;
	model_close(&l->model);
	return -1;
}

static int open_both(struct loaded *l, const struct reading *r, const char *model, const char *adapter, struct err *e)
{
	if (open_model(l, r, model, e) < 0)
		return -1;
	if (!adapter)
		return 0;
	if (new_tokens_load(&l->model, adapter, e) < 0 || adapter_classify(&l->model, adapter, e) < 0 ||
	    adapter_load(&l->adapter, adapter, &l->model, e) < 0) {
		model_close(&l->model);
		return -1;
	}
	l->has_adapter = true;
	metering_in("adapter", adapter, NULL);
	return 0;
}

/* What `kungfu adapt` left stands for its base and what lies over that. */
static int open_adapted(struct loaded *l, const struct reading *r, const char *path, const char *adapter,
                        struct err *e)
{
	struct adapted a;
	int status = -1;

	if (adapted_open(&a, path, e) < 0)
		return -1;
	if (!a.model)
		err_set(e, "%s answers without a model, by a label (%s): kungfu eval, generate and classify take it",
		        path, a.kind);
	else if (a.adapter && adapter)
		err_set(e, "%s has an adapter of its own: --adapter %s would be a second one", path, adapter);
	else
		status = open_both(l, r, a.model, a.adapter ? a.adapter : adapter, e);
	if (status == 0 && a.adapter)
		l->own_adapter = mem_strdup(a.adapter);
	if (status == 0 && a.first)
		log_say("%s: words or states answer first where they are sure, in eval and generate; this is the model "
		        "for the rest", path);
	adapted_close(&a);
	return status;
}

static int open_path(struct loaded *l, const struct reading *r, const char *model, const char *adapter, struct err *e)
{
	return (adapted_is(model) ? open_adapted : open_both)(l, r, model, adapter, e);
}

/* FILE.yaml:NAME: what the name stands for. */
static int open_alias(struct loaded *l, const struct reading *r, const char *file, const char *name,
                      const char *adapter, struct err *e)
{
	struct aliases all;

	if (aliases_open(&all, file, e) < 0)
		return -1;
	const struct alias *a = aliases_find(&all, name);
	int status = !a ? err_set(e, "%s has no name %s", file, name) :
	             a->adapter && adapter ?
	                  err_set(e, "%s stands for a model with an adapter, %s: --adapter %s would be a second one",
	                          name, a->adapter, adapter) :
	                  open_path(l, r, a->path, a->adapter ? a->adapter : adapter, e);
	if (status == 0 && a->adapter) {
		mem_free(l->own_adapter);
		l->own_adapter = mem_strdup(a->adapter);
	}
	aliases_close(&all);
	return status;
}

static int open_as(struct loaded *l, const struct reading *r, const char *model, const char *adapter, struct err *e)
{
	const char *name = io_exists(model) ? NULL : strrchr(model, ':');
	char *file = name ? mem_strndup(model, (size_t)(name - model)) : NULL;

	*l = (struct loaded){ 0 };
	metering_phase("open");
	int status = file && aliases_is(file) ? open_alias(l, r, file, name + 1, adapter, e) :
	                                        open_path(l, r, model, adapter, e);
	mem_free(file);
	return status;
}

int loaded_open(struct loaded *l, const char *model, const char *adapter, struct err *e)
{
	return open_as(l, &(struct reading){ NULL, NULL }, model, adapter, e);
}

int loaded_open_named(struct loaded *l, const char *path, struct err *e)
{
	char *base = reward_model_base(path);
	int status = loaded_open(l, base ? base : path, base ? path : NULL, e);

	if (status < 0 && base)
		err_prefix(e, "the model of the adapter %s", path);
	mem_free(base);
	return status;
}

int loaded_open_alone(struct loaded *l, const char *model, struct err *e)
{
	if (loaded_open(l, model, NULL, e) < 0)
		return -1;
	if (!l->own_adapter)
		return 0;
	err_set(e, "%s is a model under an adapter, %s: kungfu merge %s --out PATH makes one model of them", model,
	        l->own_adapter, model);
	loaded_close(l);
	return -1;
}

int loaded_open_4bit(struct loaded *l, struct app *app, const struct four_bit_options *o, const char *model,
                     const char *adapter, struct err *e)
{
	*l = (struct loaded){ 0 };
	return four_bit_check(o, e) < 0 ? -1 : open_as(l, &(struct reading){ o, app->pool }, model, adapter, e);
}

int loaded_open_facts(struct loaded *l, const char *model, struct err *e)
{
	*l = (struct loaded){ 0 };
	metering_phase("open");
	if (model_open_facts(&l->model, model, e) < 0)
		return -1;
	metering_in("model", model, NULL);
	return 0;
}

int loaded_text(struct loaded *l, struct err *e) { return model_tokenizer(&l->model, e); }

bool loaded_has_text(const struct loaded *l)
{
	const struct source *s = &l->model.source;
	static const char *const names[] = { "tokenizer.json", "vocab.json", "tokenizer.model" };
	bool there = false;

	if (s->is_gguf)
		return gguf_find(&s->gguf, "tokenizer.ggml.model") != NULL;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char *path = io_join(s->path, names[i]);
		there |= io_exists(path);
		mem_free(path);
	}
	return there;
}

int loaded_several(struct loaded *l, const char *const *names, const char *const *paths, size_t n, struct err *e)
{
	struct adapter *some = mem_array(n, sizeof(*some));
	size_t opened = 0;
	int status = l->own_adapter ? err_set(e, "%s lies over the model already: no others can be beside it",
	                                      l->own_adapter) : 0;

	for (size_t i = 0; i < n && status == 0; i++)
		status = new_tokens_load(&l->model, paths[i], e);
	while (opened < n && status == 0 && (status = adapter_load(&some[opened], paths[opened], &l->model, e)) == 0)
		metering_in("adapter", paths[opened++], NULL);
	if (status == 0)
		status = multi_adapter_make(&l->adapter, &l->model, some, names, n, e);
	l->has_adapter = status == 0;
	for (size_t i = 0; i < opened; i++)
		adapter_release(&some[i]);
	mem_free(some);
	return status;
}

int model_compute(struct app *app, struct model *m, const char *compute, enum prepare_for what, struct err *e)
{
	int status = model_prepare(m, app->pool, compute_from_name(compute, app->kernels), what, e);

	app->compute = compute_name(m->compute);
	return status;
}

int loaded_chat(struct loaded *l, struct err *e)
{
	if (loaded_text(l, e) < 0)
		return -1;
	if (!l->chat && chat_template(&l->chat, l->model.tokenizer, e) < 0)
		return err_prefix(e, "%s: its chat template", l->model.source.path);
	return 0;
}

int loaded_prompts(struct loaded *l, struct prompt_options *o, struct err *e)
{
	bool asked = o->raw;

	if ((o->raw ? loaded_text : loaded_chat)(l, e) < 0)
		return -1;
	if (!o->raw && !l->chat) {
		log_say("%s has no chat template: a prompt is continued as it is", l->model.source.path);
		o->raw = true;
	}
	if (o->raw && o->system)
		return err_set(e, "--system wants a chat template, %s",
		               asked ? "which --raw turns off" : "which this model does not have");
	return 0;
}

const struct overlay *loaded_overlay(const struct loaded *l) { return l->has_adapter ? &l->adapter.overlay : NULL; }

const char *loaded_virtual(const struct loaded *l)
{
	static char text[64];
	int n = overlays_virtual(loaded_overlay(l));

	sentence_format(text, sizeof(text), n ? " beside the adapter's %d virtual tokens" : "", n);
	return text;
}

void loaded_close(struct loaded *l)
{
	template_free(l->chat);
	if (l->has_adapter)
		adapter_release(&l->adapter);
	model_close(&l->model);
	mem_free(l->own_adapter);
}

double loaded_predict(const struct loaded *l, struct predicted *p, const struct model_reads *reads, size_t work,
                      size_t taken, const char *what)
{
	struct model_reads how = *reads;
	size_t owned;

	how.own_head = overlays_own_head(loaded_overlay(l));
	size_t mapped = model_read_bytes(&l->model, &how, &owned);
	model_forget(&l->model);
	size_t now = mem_rss(), base = now - MIN(now, owned + taken);
	predict_part(p, "weights", (double)(mapped + owned), "of the model");
	predict_part(p, "work", (double)work, what);
	double sum = p->bytes + (double)base;
	predict_part(p, "base", (double)base + fmax((double)mem_rss_peak() - sum, 0),
	             "program, libraries, tokenizer, data");
	return (double)mapped / TIMING_PAGE_RATE;
}

void put_estimate(json_t *j, const char *name, const struct estimate *x)
{
	char *error = mem_printf("%s_stderr", name), *interval = mem_printf("%s_ci95", name);
	bool none = x->n == 0;

	json_object_set_new(j, name, jsonx_number(none ? NAN : x->mean));
	json_object_set_new(j, error, jsonx_number(none ? NAN : x->stderr_));
	json_object_set_new(j, interval,
	                    none || isnan(x->low) ? json_null() :
	                                            json_pack("[o, o]", jsonx_number(x->low), jsonx_number(x->high)));
	mem_free(error);
	mem_free(interval);
}

struct cache_types cache_types(const struct cache_options *o)
{
	return (struct cache_types){ (enum dtype)dtype_from_name(o->k), (enum dtype)dtype_from_name(o->v) };
}
