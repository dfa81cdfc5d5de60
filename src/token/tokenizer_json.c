/* tokenizer_json: tokenizers from Hugging Face's files: tokenizer.json, or the older files of its kind, with
 * tokenizer_config.json beside them (and, in folders, special_tokens_map.json, added_tokens.json and
 * chat_template.jinja). */
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "format/hub_cache.h"
#include "token/tokenizer_files.h"
#include "token/tokenizer_known.h"
#include "token/tokenizer_parts.h"

/* What a model is, where its file does not say: older ones name no type. */
static const char *type_of(const json_t *model, const char *type)
{
	if (type)
		return type;
	return json_is_array(json_object_get(model, "vocab")) ? "Unigram" :
	       json_object_get(model, "merges")               ? "BPE" :
	                                                        "WordPiece or WordLevel";
}

static const struct token_model *find_model(const json_t *j, const json_t *model, struct err *e)
{
	const char *type;
	struct buf names = BUF_INIT;
	if (!json_is_object(model)) {
		err_set(e, "\"model\" is missing");
		return NULL;
	}
	if (jsonx_string(model, "type", NULL, &type, e))
		return NULL;
	for (size_t i = 0; token_model_table[i]; i++) {
		if (token_model_table[i]->is(j, model, type)) {
			buf_release(&names);
			return token_model_table[i];
		}
		buf_addf(&names, "%s%s", i ? ", " : "", token_model_table[i]->name);
	}
	err_set(e, "a tokenizer of type %.64s is not supported (%s)", type_of(model, type), buf_str(&names));
	buf_release(&names);
	return NULL;
}

static int judge(const json_t *object, const struct setting *table, const char *where, struct err *e)
{
	struct settings known = { .where = where, .table = table };
	int rc = settings_judge_all(&known, object, e);
	settings_tell(&known);
	return rc;
}

/* What is put in front of a text, a tokenizer.json says alone: transformers does not look at the flag beside one. */
static void tell_flag(const struct tokenizer *t, const json_t *flag, const char *where)
{
	if (json_is_boolean(flag) && json_is_true(flag) != (tokenizer_front(t) >= 0))
		log_warn("%s: its post_processor puts %s token in front of a text, whatever add_bos_token of "
		         "tokenizer_config.json says (%s)",
		         where, tokenizer_front(t) >= 0 ? "a" : "no", json_is_true(flag) ? "true" : "false");
}

struct tokenizer *tokenizer_from_json(const json_t *j, const json_t *config, const char *where, struct err *e)
{
	const json_t *json = json_object_get(j, "model");
	const struct token_model *model = find_model(j, json, e);
	struct tokenizer *t = model ? tokenizer_new(model) : NULL;
	json_t *rest = json_is_object(config) ? json_copy((json_t *)(uintptr_t)config) : json_object();
	json_object_del(rest, "add_bos_token");
	json_object_del(rest, "add_eos_token");
	if (!t || model->load(t, json, e) || tokenizer_set_rules(t, j, rest, e)) {
		err_prefix(e, "%s", where);
		tokenizer_free(t);
		t = NULL;
	} else if (judge(j, tokenizer_json_known, where, e)) {
		tokenizer_free(t);
		t = NULL;
	} else {
		tell_flag(t, json_object_get(config, "add_bos_token"), where);
	}
	json_decref(rest);
	return t;
}

/* --- folders --- */

static int load_optional(json_t **out, const char *dir, const char *name, struct err *e)
{
	char *path = io_join(dir, name);
	int rc = 0;
	*out = NULL;
	if (io_exists(path)) {
		*out = jsonx_load_file(path, e);
		rc = *out ? 0 : -1;
	}
	if (*out && !json_is_object(*out)) {
		rc = err_set(e, "%s: not a JSON object", path);
		json_decref(*out);
		*out = NULL;
	}
	mem_free(path);
	return rc;
}

/* The texts that the configuration names, by a key or in its list, as the keys of an object; new reference. */
static json_t *named_texts(const json_t *config)
{
	json_t *texts = json_object(), *item;
	const char *key;
	size_t i;
	json_object_foreach((json_t *)(uintptr_t)config, key, item) {
		const json_t *v = json_is_object(item) ? json_object_get(item, "content") : item;
		if (json_is_string(v))
			json_object_set_new(texts, json_string_value(v), json_true());
	}
	json_array_foreach(json_object_get(config, "additional_special_tokens"), i, item)
		if (json_is_string(item))
			json_object_set_new(texts, json_string_value(item), json_true());
	return texts;
}

/* added_tokens.json, texts and ids, as added_tokens_decoder has them; NULL and a sentence. */
static json_t *as_decoder(const json_t *added, const json_t *config, const char *dir, struct err *e)
{
	json_t *decoder = json_object(), *named = named_texts(config), *id;
	const char *text;
	json_object_foreach((json_t *)(uintptr_t)added, text, id) {
		char number[32];
		if (!json_is_integer(id) || json_integer_value(id) < 0) {
			err_set(e, "%s/added_tokens.json: \"%.64s\" has no integer as its id", dir, text);
			json_decref(decoder);
			decoder = NULL;
			break;
		}
		snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(id));
		json_object_set_new(decoder, number, json_pack("{s:s,s:b}", "content", text, "special",
		                                               json_object_get(named, text) != NULL));
	}
	json_decref(named);
	return decoder;
}

/* Extra tokens of special_tokens_map.json: a list goes on with the configuration's, beside an object it is the list
 * that its older name has; an object goes on with an object and takes a list's place. */
static void merge_extra(json_t *config, json_t *v)
{
	json_t *there = json_object_get(config, "extra_special_tokens"), *item;
	size_t i;
	if (json_is_object(there) && json_is_object(v)) {
		json_object_update(there, v);
	} else if (json_is_object(there)) {
		json_object_set(config, "additional_special_tokens", v);
	} else if (json_is_array(there) && json_is_array(v)) {
		json_array_foreach (v, i, item)
			json_array_append(there, item);
	} else {
		json_object_set(config, "extra_special_tokens", v);
	}
}

/* special_tokens_map.json over the configuration. Its objects are tokens, whatever they say of themselves; a text that
 * the configuration has under a name of this model alone stays, in the place of the map's. */
static void merge_map(json_t *config, json_t *map)
{
	const char *key;
	json_t *v, *old = json_object_get(config, "additional_special_tokens");
	if (map && !json_object_size(json_object_get(config, "extra_special_tokens")) &&
	    !json_array_size(json_object_get(config, "extra_special_tokens")) && old) {
		json_object_set(config, "extra_special_tokens", old);
		json_object_del(config, "additional_special_tokens");
	}
	json_object_foreach (map, key, v) {
		const json_t *text = json_object_get(config, key);
		bool own = tokenizer_own_token(key);
		if (own && (json_is_string(v) || json_is_string(text)))
			json_object_set_new(config, key,
			                    json_pack("{s:O,s:b,s:s}", "content", json_is_string(text) ? text : v,
			                              "special", 1, "__type", "AddedToken"));
		else if (!strcmp(key, "extra_special_tokens"))
			merge_extra(config, v);
		else if (json_is_object(v) && json_object_set_new(v, "__type", json_string("AddedToken")) == 0)
			json_object_set(config, key, v);
		else
			json_object_set(config, key, v);
	}
}

/* What older versions of transformers keep in files of their own; newer ones read them only where the configuration has
 * no added_tokens_decoder, and then special_tokens_map.json before the configuration. */
static int add_older_files(json_t *config, const char *dir, struct err *e)
{
	json_t *map = NULL, *added = NULL;
	int rc = -1;
	if (json_object_get(config, "added_tokens_decoder"))
		return 0;
	if (load_optional(&map, dir, "special_tokens_map.json", e) == 0 &&
	    load_optional(&added, dir, "added_tokens.json", e) == 0) {
		merge_map(config, map);
		json_t *decoder = json_object_size(added) ? as_decoder(added, config, dir, e) : NULL;
		if (decoder)
			json_object_set_new(config, "added_tokens_decoder", decoder);
		rc = json_object_size(added) && !decoder ? -1 : 0;
	}
	json_decref(map);
	json_decref(added);
	return rc;
}

static json_t *read_template(const char *path, struct err *e)
{
	struct buf text = BUF_INIT;
	json_t *j = NULL;
	if (io_read(&text, path, e) == 0 && !(j = json_stringn(buf_str(&text), text.len)))
		err_set(e, "%s: not valid UTF-8", path);
	buf_release(&text);
	return j;
}

/* additional_chat_templates/NAME.jinja, appended to a list of {name, template}. */
static int add_named_templates(json_t *list, const char *dir, struct err *e)
{
	static const char ending[] = ".jinja";
	char *folder = io_join(dir, TEMPLATE_FOLDER), **names = NULL;
	size_t count = 0;
	int rc = io_is_dir(folder) ? io_list(folder, &names, &count, e) : 0;
	for (size_t i = 0; i < count && rc == 0; i++) {
		size_t n = strlen(names[i]), m = strlen(ending);
		if (n <= m || names[i][0] == '.' || strcmp(names[i] + n - m, ending) != 0)
			continue;
		char *path = io_join(folder, names[i]);
		json_t *text = read_template(path, e);
		rc = text ? json_array_append_new(list, json_pack("{s:s#, s:o}", "name", names[i], (int)(n - m),
		                                                  "template", text)) :
		            -1;
		mem_free(path);
	}
	if (names)
		io_list_free(names, count);
	mem_free(folder);
	return rc;
}

/* chat_template.jinja is the one named default; it and the named ones stand before the configuration's. */
static int add_templates(json_t *config, const char *dir, struct err *e)
{
	char *path = io_join(dir, "chat_template.jinja");
	json_t *text = io_exists(path) ? read_template(path, e) : json_incref(json_object_get(config, "chat_template")),
	       *list = json_array();
	int rc = !text && io_exists(path) ? -1 : add_named_templates(list, dir, e);
	if (rc == 0 && json_array_size(list) && json_is_string(text))
		json_array_append_new(list, json_pack("{s:s, s:O}", "name", "default", "template", text));
	if (rc == 0 && json_array_size(list) && json_is_array(text))
		json_array_extend(list, text);
	if (rc == 0 && (json_array_size(list) || text))
		json_object_set(config, "chat_template", json_array_size(list) ? list : text);
	json_decref(text);
	json_decref(list);
	mem_free(path);
	return rc;
}

/* tokenizer_config.json, completed by the files that older and newer versions of transformers keep apart. */
static int load_config(json_t **out, const char *dir, struct err *e)
{
	json_t *config = NULL;
	int rc = -1;
	if (load_optional(&config, dir, "tokenizer_config.json", e))
		return -1;
	if (!config)
		config = json_object();
	if (add_older_files(config, dir, e) == 0 && add_templates(config, dir, e) == 0) {
		*out = json_incref(config);
		rc = 0;
	}
	json_decref(config);
	return rc;
}

static struct tokenizer *from_old_files(const char *dir, const json_t *config, struct err *e)
{
	json_t *full = json_deep_copy(config);
	bool found;
	struct tokenizer *t = tokenizer_files_dir(dir, full, &found, e);
	if (!t && !found)
		err_set(e, "%s: no tokenizer there (wanted %s)", dir, tokenizer_files_wanted);
	json_decref(full);
	return t;
}

/* A class of transformers whose tokenizer is always of one kind: named beside a tokenizer.json of another one it is a
 * mistake in the folder, by which transformers cuts texts otherwise. */
static void tell_class(const struct tokenizer *t, const json_t *config, const char *where)
{
	static const struct {
		const char *type, *classes;
	} kinds[] = {
		{ "WordPiece", " Bert DistilBert Electra MobileBert MPNet Funnel Splinter LayoutLM " },
		{ "Unigram", " T5 XLMRoberta Albert MBart MBart50 XLNet Pegasus Camembert BigBird DebertaV2 " },
		{ "BPE", " GPT2 Qwen2 Roberta CodeLlama Gemma Whisper CLIP GPTNeoX Cohere Bart Deberta CodeGen " },
	};
	const char *class = json_string_value(json_object_get(config, "tokenizer_class"));
	size_t n = class ? text_stem(class, "TokenizerFast") : 0;
	n = n ? n : class ? text_stem(class, "Tokenizer") : 0;
	char *name = n ? mem_printf(" %.*s ", (int)n, class) : NULL;
	for (size_t i = 0; name && t->model->type && i < ARRAY_LEN(kinds); i++)
		if (strstr(kinds[i].classes, name) && strcmp(kinds[i].type, t->model->type) != 0)
			log_warn("%s: tokenizer_class is %s, which is of %s, beside a tokenizer.json of %s, which "
			         "counts here; transformers cuts texts otherwise",
			         where, class, kinds[i].type, t->model->type);
	mem_free(name);
}

struct tokenizer *tokenizer_from_dir(const char *dir, struct err *e)
{
	struct tokenizer *t = NULL;
	json_t *config = NULL, *j = NULL;
	char *path = io_join(dir, "tokenizer.json"), *config_path = io_join(dir, "tokenizer_config.json");
	if (load_config(&config, dir, e) || judge(config, tokenizer_config_known, config_path, e))
		goto out;
	if (!io_exists(path))
		t = from_old_files(dir, config, e);
	else if ((j = jsonx_load_file(path, e)))
		t = tokenizer_from_json(j, config, path, e);
	if (t && j)
		tell_class(t, config, config_path);
out:
	json_decref(config);
	json_decref(j);
	mem_free(path);
	mem_free(config_path);
	return t;
}

/* A file alone; the tokenizer_config.json of its folder counts if it is called as files in a model's folder are. */
static struct tokenizer *from_file(const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	char *dir = slash ? mem_strndup(path, (size_t)(slash - path) + 1) : mem_strdup(".");
	bool is_json = fnmatch("*.json", name, 0) == 0;
	json_t *config = json_object(), *j = is_json ? jsonx_load_file(path, e) : NULL;
	struct tokenizer *t = NULL;
	if (strcmp(name, "tokenizer.json") == 0 || strcmp(name, "tokenizer.model") == 0 ||
	    strcmp(name, "vocab.txt") == 0 || strcmp(name, "vocab.json") == 0)
		t = tokenizer_from_dir(dir, e);
	else if (json_is_object(json_object_get(j, "model")))
		t = tokenizer_from_json(j, NULL, path, e);
	else if (j || !is_json)
		t = tokenizer_files_open(path, config, e);
	json_decref(j);
	json_decref(config);
	mem_free(dir);
	return t;
}

static bool is_gguf(const char *path)
{
	struct mapping m;
	struct err ignored = ERR_INIT; /* who opens it says what is wrong */
	bool is = io_map(&m, path, &ignored) == 0;
	if (is) {
		is = m.size >= 4 && memcmp(m.data, "GGUF", 4) == 0;
		io_unmap(&m);
	}
	return is;
}

static struct tokenizer *open_path(const char *path, struct err *e)
{
	struct gguf g;
	if (io_is_dir(path))
		return tokenizer_from_dir(path, e);
	if (!is_gguf(path))
		return from_file(path, e);
	if (gguf_open(&g, path, e))
		return NULL;
	struct tokenizer *t = tokenizer_from_gguf(&g, e);
	gguf_close(&g);
	return t;
}

struct tokenizer *tokenizer_open(const char *model, struct err *e)
{
	char *path = hub_resolve(model, e);
	struct tokenizer *t = path ? open_path(path, e) : NULL;
	mem_free(path);
	return t;
}
