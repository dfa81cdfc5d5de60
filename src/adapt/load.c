/* load: an adapter from whatever holds it: a PEFT folder, or a GGUF file, which is read as the folder that it stands
 * for. */
#include <string.h>

#include "adapt/gguf_adapter.h"
#include "adapt/peft_config.h"
#include "adapt/peft_folder.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "model/classifier.h"
#include "base/log.h"
#include "model/four_bit.h"

enum { CHAIN_MOST = 16 };

const struct adapter_type *adapter_type_of(const json_t *config)
{
	const char *name = json_string_value(json_object_get(config, "peft_type"));

	for (size_t i = 0; adapter_type_table[i]; i++) {
		const struct adapter_type *t = adapter_type_table[i];
		if (t->load && (t->is ? t->is(config) : name && t->peft_type && !strcmp(t->peft_type, name)))
			return t;
	}
	return NULL;
}

static bool is_classifier(const json_t *config)
{
	const char *task = json_string_value(json_object_get(config, "task_type"));

	return task && !strcmp(task, "SEQ_CLS");
}

/* Who lays it over a model as it is, or beside others, has no place for its head. */
static int refuse_classifier(const json_t *config, const struct model *m, const char *dir, struct err *e)
{
	if (!is_classifier(config) || m->labels)
		return 0;
	return err_set(e, "%s: an adapter with a head that classifies (task_type SEQ_CLS), which predicts no next "
	               "token: it is for kungfu classify and eval, by --adapter", dir);
}

static const struct adapter_type *type_of(const json_t *config, const struct model *m, const char *dir, struct err *e)
{
	const char *name = json_string_value(json_object_get(config, "peft_type"));
	const struct adapter_type *type = adapter_type_of(config);

	if (refuse_classifier(config, m, dir, e) < 0)
		return NULL;
	if (!type)
		err_set(e, "%s/adapter_config.json: peft_type is %s, which this program does not do", dir,
		        name ? name : "not there");
	return type;
}

/* --- a model that classifies --- */

static const char *meta_of(const struct safetensors *s, const char *key)
{
	for (size_t i = 0; i < s->n_meta; i++)
		if (!strcmp(s->meta[i].key, key))
			return s->meta[i].value;
	return NULL;
}

/* Rows of the tensor that labels come out of. */
static size_t count_labels(const struct safetensors *s)
{
	static const char *const names[] = { "score.weight", "classifier.weight", "classifier.out_proj.weight" };
	static const char *const before[] = { PEFT_PREFIX, PEFT_BARE_PREFIX, "" }; /* "": of a type that PEFT has not */
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(names) * ARRAY_LEN(before) && !n; i++) {
		char *full = mem_printf("%s%s", before[i % ARRAY_LEN(before)], names[i / ARRAY_LEN(before)]);
		const struct st_tensor *t = st_find(s, full);
		n = t && t->n_dims == 2 ? t->dim[0] : 0;
		mem_free(full);
	}
	return n;
}

static int read_labels(struct labels *l, struct arena *mem, const struct safetensors *s, const char *dir, struct err *e)
{
	const char *names = meta_of(s, "id2label"), *type = meta_of(s, "problem_type");
	size_t n = count_labels(s);

	if (!n || n > LABELS_MOST)
		return err_set(e, "%s: an adapter of a model that classifies (task_type SEQ_CLS) without the head, a "
		               "tensor " PEFT_PREFIX "score.weight or classifier.weight of 1 to %d rows", s->path,
		               LABELS_MOST);
	json_t *config = json_pack("{s:i, s:o*, s:s*}", "num_labels", (int)n, "id2label",
	                           names ? jsonx_load(names, strlen(names), s->path, e) : NULL, "problem_type", type);
	int status = config ? labels_read(l, mem, config, dir, e) : err_set(e, "%s: its metadata are no JSON", s->path);
	json_decref(config);
	if (status == 0 && l->n != (int)n)
		status = err_set(e, "%s: its metadata name %d labels, its head has %zu", s->path, l->n, n);
	return status;
}

int adapter_classify(struct model *m, const char *dir, struct err *e)
{
	struct arena mem = ARENA_INIT;
	struct safetensors s = { 0 };
	struct labels l;
	json_t *config = NULL;
	int status = 0;

	if (gguf_adapter_is(dir))
		return 0;
	status = peft_folder_open(&config, &s, dir, e);
	if (status == 0 && is_classifier(config)) {
		status = read_labels(&l, &mem, &s, dir, e);
		if (status == 0)
			status = classifier_make(m, &l, 0, e);
	}
	st_close(&s);
	json_decref(config);
	arena_release(&mem);
	return status;
}

/* Of a head that was made for the adapter it must bring all. */
static int check_head(const struct adapter *a, const struct model *m, const char *dir, struct err *e)
{
	for (size_t i = 0; i < m->n_weights; i++)
		if (m->weights[i].made && a->overlay.replaced[i] < 0)
			return err_set(e, "%s: a head that classifies without its %s, which the model has not either",
			               dir, m->weights[i].name);
	return 0;
}

/* --- a base that was quantized as it was read --- */

int adapter_base_4bit(const char *dir, struct four_bit_options *out, struct err *e)
{
	struct safetensors s = { 0 };
	json_t *config = NULL;
	int status = 0;

	*out = (struct four_bit_options){ 0 };
	if (gguf_adapter_is(dir))
		return 0;
	status = peft_folder_open(&config, &s, dir, e);
	const char *line = meta_of(&s, BASE_CONFIG);
	if (status == 0 && line)
		status = four_bit_parse(line, s.path, out, e);
	st_close(&s);
	json_decref(config);
	return status;
}

/* It was trained over other numbers than those that it is laid over now. */
static int compare_base(const struct safetensors *s, const struct model *m, const char *dir, struct err *e)
{
	const char *line = meta_of(s, BASE_CONFIG);
	struct four_bit_options was;

	if (!line)
		return 0;
	if (four_bit_parse(line, s->path, &was, e) < 0)
		return -1;
	if (!four_bit_is(m, &was))
		log_warn("%s was trained on a base of 4-bit floats: --load-in-4bit --bnb-4bit-quant-type %s%s lays it "
		         "over the same", dir, was.type, was.nested ? " --bnb-4bit-use-double-quant" : "");
	return 0;
}

/* --- the whole --- */

static int load(struct adapter *a, const char *dir, const struct model *m, int depth, struct err *e);

/* The adapter that one lies over, beside its own folder or anywhere. */
static int load_parent(struct adapter *a, const char *dir, const char *name, const struct model *m, int depth,
                       struct err *e)
{
	struct adapter *parent = mem_alloc(sizeof(*parent));
	char *path = *name == '/' ? mem_strdup(name) : io_join(dir, name);
	int status = depth == CHAIN_MOST ? err_set(e, "more than %d adapters over each other", CHAIN_MOST) :
	                                   load(parent, path, m, depth + 1, e);

	mem_free(path);
	if (status == 0 && adapter_chain(a, parent, m, e) == 0)
		return 0;
	if (status == 0)
		adapter_release(parent);
	mem_free(parent);
	return err_prefix(e, "%s, its " PARENT_KEY, dir);
}

/* The key is nobody else's to read. */
static char *take_parent(json_t *config)
{
	const char *name = json_string_value(json_object_get(config, PARENT_KEY));
	char *parent = name ? mem_strdup(name) : NULL;

	json_object_del(config, PARENT_KEY);
	return parent;
}

int adapter_load(struct adapter *a, const char *dir, const struct model *m, struct err *e)
{
	return load(a, dir, m, 1, e);
}

static int load(struct adapter *a, const char *dir, const struct model *m, int depth, struct err *e)
{
	char *parent = NULL;
	json_t *config;
	struct safetensors s = { 0 };
	*a = (struct adapter){ 0 };
	int status = gguf_adapter_is(dir) ? gguf_adapter_open(&config, &s, dir, m, e) :
	                                    peft_folder_open(&config, &s, dir, e);
	const struct adapter_type *type = status == 0 ? type_of(config, m, dir, e) : NULL;
	if (type) {
		parent = take_parent(config);
		adapter_begin(a, m, type);
		status = type->load(a, m, config, &s, dir, e);
		if (status == 0)
			status = compare_base(&s, m, dir, e);
		if (status == 0)
			status = check_head(a, m, dir, e);
		if (status == 0 && parent)
			status = load_parent(a, dir, parent, m, depth, e);
		if (status < 0)
			adapter_release(a);
	}
	mem_free(parent);
	st_close(&s);
	json_decref(config);
	return type ? status : -1;
}

int adapter_hash(const char *path, char hex[33], struct err *e)
{
	struct buf all = BUF_INIT;
	int status = 0;

	if (!io_is_dir(path))
		return io_hash(path, hex, e);
	for (size_t i = 0; adapter_files[i] && status == 0; i++) {
		char *file = io_join(path, adapter_files[i]);
		if (io_exists(file)) {
			status = io_hash(file, hex, e);
			buf_add(&all, hex, 32);
		}
		mem_free(file);
	}
	if (status == 0)
		hash_hex(all.data, all.len, hex);
	buf_release(&all);
	return status;
}
