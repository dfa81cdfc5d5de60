/* privileged: rows of which a teacher sees more than its student. A column that the student is not shown (what the
 * right answer is, a hint, an example) stands in the teacher's prompt, and both say what they think of the same answer:
 * self-distillation fine-tuning (Shenfeld et al. 2026, Self-Distillation Enables Continual Learning). Names are those
 * of TRL's SDFTTrainer.
 *
 *     teacher's prompt = the template, with {prompt} and {privileged_context}
 *
 * Where a prompt is a list of messages, {prompt} is its last message, a user's, and the template's text takes its
 * place. */
#ifndef TRAIN_PRIVILEGED_H
#define TRAIN_PRIVILEGED_H

#include "data/document.h"

#define PRIVILEGED_TEMPLATE "{prompt}\n\n{privileged_context}"

struct privileged {
	struct documents documents;     /* the teacher's, one for each of the student's, in their order */
	struct rows rows;
};

/* −1 and a sentence: a template without both places. */
int privileged_check(const char *form, struct err *e);
/* Of rows with a column `prompt`, each of which gave one of the student's documents. o: as the student's were made,
 * with the most tokens that the teacher can read: none is cut. */
int privileged_make(struct privileged *p, const struct rows *rows, const struct documents *student, const char *column,
                    const char *form, const struct text_codec *c, const struct document_options *o, struct err *e);
void privileged_release(struct privileged *p);

/* Tokens before the first that is learnt. */
int32_t privileged_prompt(const struct document *d);

#endif
