/* test_api_adapted: folders as `kungfu adapt` leaves them, opened by the library: what stands before what is asked. */
#include "fixture_api.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "retrieve/index.h"

/* A folder as `kungfu adapt` leaves it where examples answer. */
static void prompted(struct test *t)
{
	char *base = golden("llama"), *dir = io_join(test_tmp(), "api-prompted"), *file = io_join(dir, "artefact.json"),
	     *prompt = io_join(dir, "prompt.json"), *data = io_join(dir, "rows.jsonl"), *decoded;
	char *text = mem_printf("{\"format\": 1, \"rung\": \"few_shot\", \"base\": \"%s\", \"files\": \".\", "
	                        "\"kind\": \"base\", \"prompt\": \"prompt.json\"}", base);
	const char *turns = "{\"format\": 1, \"messages\": [{\"role\": \"user\", \"content\": \"plan?\"}, "
	                    "{\"role\": \"assistant\", \"content\": \"tape\"}]}",
	           *words = "{\"format\": 1, \"text\": \"plan: tape\\n\\n\"}",
	           *row = "{\"prompt\": \"sum?\", \"completion\": \" row\"}\n";
	const struct kf_message asked = { "user", "sum?" },
	                        whole[] = { { "user", "plan?" }, { "assistant", "tape" }, asked };
	struct kf_model *plain, *left;
	struct kf_data *rows;
	struct kf_document d;
	int32_t *want, *got;
	size_t n_want, n_got;
	struct err e;

	test_case(t, "what adapt left with examples puts them before what is asked, said or scored");
	CHECK(t, io_mkdirs(dir, &e) == 0 && io_write(file, text, strlen(text), &e) == 0 &&
	         io_write(prompt, turns, strlen(turns), &e) == 0 && io_write(data, row, strlen(row), &e) == 0);
	GOOD(kf_model_open(&plain, base, &error));
	GOOD(kf_model_open(&left, dir, &error));
	GOOD(kf_chat(plain, whole, 3, &want, &n_want, &error));
	GOOD(kf_chat(left, &asked, 1, &got, &n_got, &error));
	CHECK(t, n_got == n_want && !memcmp(want, got, n_got * sizeof(*got)));
	kf_free(got);
	GOOD(kf_ask(left, "sum?", KF_WHOLE, &got, &n_got, &error));
	CHECK(t, n_got == n_want && !memcmp(want, got, n_got * sizeof(*got)));
	kf_free(got);
	kf_free(want);
	GOOD(kf_chat(plain, &asked, 1, &want, &n_want, &error));
	GOOD(kf_ask(plain, "sum?", 4, &got, &n_got, &error));
	CHECK(t, n_got == n_want && !memcmp(want, got, n_got * sizeof(*got)));
	kf_free(got);
	kf_free(want);
	BAD(KF_FAILED, kf_ask(plain, "\xff", 1, &got, &n_got, &error));
	BAD(KF_MISUSE, kf_ask(plain, NULL, 1, &got, &n_got, &error));
	BAD(KF_FAILED, kf_data_open(&rows, left, data, NULL, &error)); /* turns before a text */
	kf_model_free(left);

	CHECK(t, io_write(prompt, words, strlen(words), &e) == 0);
	GOOD(kf_model_open(&left, dir, &error));
	GOOD(kf_data_open(&rows, left, data, NULL, &error));
	GOOD(kf_data_document(rows, 0, &d, &error));
	GOOD(kf_decode(left, d.ids, d.n, 0, &decoded, NULL, &error));
	CHECK_MSG(t, strstr(decoded, "plan: tape\n\nsum? row"), "%s", decoded);
	kf_free(decoded);
	kf_data_free(rows);
	BAD(KF_FAILED, kf_chat(left, &asked, 1, &got, &n_got, &error)); /* a text before turns */
	GOOD(kf_ask(left, "sum?", KF_WHOLE, &got, &n_got, &error));
	GOOD(kf_decode(left, got, n_got, 0, &decoded, NULL, &error));
	CHECK_MSG(t, strstr(decoded, "plan: tape\n\nsum?"), "%s", decoded);
	kf_free(decoded);
	kf_free(got);
	kf_model_free(left);
	kf_model_free(plain);
	mem_free(text);
	mem_free(data);
	mem_free(prompt);
	mem_free(file);
	mem_free(dir);
	mem_free(base);
}

/* --- documents --- */

static void make_index(struct test *t, const char *path)
{
	static const char *const texts[] = { "the plan is a tape", "a sum has rows", "the end <|end|> of it" };
	struct index_settings s = { .overlap = 0 };
	struct index *x;
	struct err e;

	CHECK_MSG(t, index_create(path, &s, &e) == 0 && index_open(&x, path, true, &e) == 0, "%s", e.msg);
	for (int i = 0; i < 3; i++) {
		char id[] = { 'd', (char)('0' + i), 0 };
		struct index_chunk c = { .text = texts[i], .n = strlen(texts[i]) };
		CHECK(t, index_add(x, &(struct index_document){ .id = id, .hash = id, .chunks = &c, .n_chunks = 1 },
		                   &e) == 0);
	}
	CHECK(t, index_commit(x, &e) == 0);
	index_close(x);
}

static char *asked_text(struct test *t, const struct kf_model *m, const char *text)
{
	int32_t *ids;
	char *decoded;
	size_t n;

	GOOD(kf_ask(m, text, KF_WHOLE, &ids, &n, &error));
	GOOD(kf_decode(m, ids, n, 0, &decoded, NULL, &error));
	kf_free(ids);
	return decoded;
}

static void *ask_again(void *arg)
{
	const struct kf_model *m = arg;
	struct kf_error e;

	for (int i = 0; i < 20; i++) {
		int32_t *ids = NULL;
		size_t n;
		if (kf_ask(m, i % 2 ? "plan?" : "sum?", KF_WHOLE, &ids, &n, &e) < 0)
			return arg;
		kf_free(ids);
	}
	return NULL;
}

/* A folder as `kungfu adapt` leaves it where documents answer. */
static void documented(struct test *t)
{
	char *base = golden("llama"), *dir = io_join(test_tmp(), "api-documented"),
	     *file = io_join(dir, "artefact.json"), *docs = io_join(dir, "docs.db"),
	     *data = io_join(dir, "rows.jsonl"), *decoded, *found;
	const char *form = "{\"format\": 1, \"rung\": \"rag\", \"base\": \"%s\", \"files\": \".\", \"kind\": "
	                   "\"sources\", \"asked\": \"%s\", \"documents\": {\"index\": \"%s\", \"num\": 1, "
	                   "\"retriever\": \"bm25\", \"template\": \"{documents} Q: {question}\"}}",
	           *row = "{\"prompt\": \"plan?\", \"completion\": \" tape\"}\n";
	char *texts = mem_printf(form, base, "texts", docs), *turns = mem_printf(form, base, "turns", docs);
	const struct kf_message talk[] = { { "user", "sum?" }, { "assistant", "row" }, { "user", "plan?" } };
	struct kf_model *plain, *left;
	struct kf_data *rows;
	struct kf_evaluator *v;
	struct kf_evaluation with, without;
	struct kf_document d;
	pthread_t other[2];
	int32_t *ids;
	size_t n;
	struct err e;

	test_case(t, "what adapt left with documents finds them for what is asked, said or scored, in any thread");
	CHECK(t, io_mkdirs(dir, &e) == 0 && io_write(file, texts, strlen(texts), &e) == 0 &&
	         io_write(data, row, strlen(row), &e) == 0);
	BAD(KF_FAILED, kf_model_open(&left, dir, &error)); /* its index is not there */
	make_index(t, docs);
	GOOD(kf_model_open(&plain, base, &error));
	GOOD(kf_model_open(&left, dir, &error));
	decoded = asked_text(t, left, "plan?");
	CHECK_MSG(t, !strcmp(decoded, "[1] the plan is a tape Q: plan?"), "%s", decoded);
	kf_free(decoded);
	decoded = asked_text(t, left, "nothing");
	CHECK_MSG(t, !strcmp(decoded, "nothing"), "%s", decoded);
	kf_free(decoded);
	decoded = asked_text(t, left, "end?"); /* a special token in what is found is none */
	CHECK_MSG(t, strstr(decoded, "the end <\xe2\x80\x8b|end|> of it Q: end?"), "%s", decoded);
	kf_free(decoded);
	GOOD(kf_find(left, "sum", KF_WHOLE, &found, &error));
	CHECK_MSG(t, strstr(found, "\"number\": 1") && strstr(found, "\"a sum has rows\""), "%s", found);
	kf_free(found);
	GOOD(kf_find(plain, "sum", 3, &found, &error));
	CHECK(t, !strcmp(found, "[]"));
	kf_free(found);
	BAD(KF_FAILED, kf_find(left, "\xff", 1, &found, &error));
	BAD(KF_MISUSE, kf_find(left, NULL, 0, &found, &error));
	GOOD(kf_chat(left, talk, 3, &ids, &n, &error));
	GOOD(kf_decode(left, ids, n, 0, &decoded, NULL, &error));
	CHECK_MSG(t, strstr(decoded, "[1] the plan is a tape Q: plan?") && !strstr(decoded, "Q: sum?"), "%s", decoded);
	kf_free(decoded);
	kf_free(ids);
	GOOD(kf_data_open(&rows, left, data, NULL, &error));
	GOOD(kf_data_document(rows, 0, &d, &error));
	GOOD(kf_decode(left, d.ids, d.n, 0, &decoded, NULL, &error));
	CHECK_MSG(t, strstr(decoded, "[1] the plan is a tape Q: plan? tape"), "%s", decoded);
	kf_free(decoded);
	kf_data_free(rows);
	GOOD(kf_evaluator_new(&v, left, NULL, NULL, &one_thread, &error));
	GOOD(kf_evaluator_rows(v, data, &with, &error));
	kf_evaluator_free(v);
	GOOD(kf_evaluator_new(&v, plain, NULL, NULL, &one_thread, &error));
	GOOD(kf_evaluator_rows(v, data, &without, &error));
	kf_evaluator_free(v);
	CHECK(t, with.tokens > without.tokens);
	for (int i = 0; i < 2; i++)
		CHECK(t, pthread_create(&other[i], NULL, ask_again, left) == 0);
	for (int i = 0; i < 2; i++) {
		void *wrong;
		pthread_join(other[i], &wrong);
		CHECK(t, !wrong);
	}
	kf_model_free(left);
	CHECK(t, io_write(file, turns, strlen(turns), &e) == 0);
	GOOD(kf_model_open(&left, dir, &error));
	decoded = asked_text(t, left, "plan?"); /* the user's turn of the template */
	CHECK_MSG(t, strstr(decoded, "Q: plan?") && decoded[0] != '[', "%s", decoded);
	kf_free(decoded);
	kf_model_free(left);
	kf_model_free(plain);
	mem_free(turns);
	mem_free(texts);
	mem_free(data);
	mem_free(docs);
	mem_free(file);
	mem_free(dir);
	mem_free(base);
}

void test_api_adapted(struct test *t)
{
	documented(t);
	prompted(t);
}
