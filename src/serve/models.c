/* models: a list under a lock, and how many calls are being read, so that nobody is freed who is in one. The body is
 * parsed once more where there are several, to see its `model`. */
#include "serve/models.h"

#include <string.h>

#include "base/mem.h"
#include "serve/openai_parts.h"

struct models {
	pthread_mutex_t lock;
	struct openai *list[MODELS_MOST];
	size_t n;
	int reading;
};

struct models *models_new(void)
{
	struct models *m = mem_alloc(sizeof(*m));

	*m = (struct models){ 0 };
	pthread_mutex_init(&m->lock, NULL);
	return m;
}

void models_free(struct models *m)
{
	if (!m)
		return;
	pthread_mutex_destroy(&m->lock);
	mem_free(m);
}

void models_set(struct models *m, struct openai *const *list, size_t n)
{
	if (n == 0 || n > MODELS_MOST)
		BUG("%zu models, 1 to %d are had", n, MODELS_MOST);
	pthread_mutex_lock(&m->lock);
	memcpy(m->list, list, n * sizeof(struct openai *));
	m->n = n;
	pthread_mutex_unlock(&m->lock);
}

bool models_idle(struct models *m)
{
	pthread_mutex_lock(&m->lock);
	bool idle = m->reading == 0;
	pthread_mutex_unlock(&m->lock);
	return idle;
}

size_t models_list(struct models *m, struct openai *out[MODELS_MOST])
{
	pthread_mutex_lock(&m->lock);
	size_t n = m->n;
	memcpy(out, m->list, n * sizeof(*out));
	pthread_mutex_unlock(&m->lock);
	return n;
}

char *models_untagged(const char *name)
{
	static const char tag[] = ":latest";
	size_t length = strlen(name), n = sizeof(tag) - 1;

	return length > n && !strcmp(name + length - n, tag) ? mem_strndup(name, length - n) : NULL;
}

/* The model of a name; NULL: there is none. */
static struct openai *of_name(struct openai *const *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (openai_adapter(list[i], name) != -2)
			return list[i];
	return NULL;
}

static struct openai *meant(struct openai *const *list, size_t n, const struct http_request *q, const json_t *sent)
{
	const char *name = json_string_value(json_object_get(sent, "model"));

	if (!name)
		name = http_query(q, "model"); /* of what has no body */
	if (!name)
		name = json_string_value(json_object_get(sent, "name")); /* Ollama's older clients */
	if (!name)
		return list[0];
	struct openai *s = of_name(list, n, name);
	char *plain = s ? NULL : models_untagged(name);
	if (plain)
		s = of_name(list, n, plain);
	mem_free(plain);
	return s ? s : list[0];
}

bool models_admit(void *models, const struct http_request *q, struct http_reply *r)
{
	struct openai *list[MODELS_MOST];

	models_list(models, list);
	return openai_admit(list[0], q, r);
}

void models_answer(void *models, const struct http_request *q, struct http_reply *r)
{
	struct models *m = models;
	struct openai *list[MODELS_MOST], *s;
	struct http_reply ignored = { 0 };

	pthread_mutex_lock(&m->lock);
	m->reading++;
	pthread_mutex_unlock(&m->lock);
	size_t n = models_list(m, list);
	s = list[0];
	if (n > 1 && !q->form) {
		json_t *sent = http_json(q, &ignored);
		s = meant(list, n, q, sent);
		json_decref(sent);
		buf_release(&ignored.body);
	}
	openai_answer(s, q, r);
	pthread_mutex_lock(&m->lock);
	m->reading--;
	pthread_mutex_unlock(&m->lock);
}
