/* fim: fill in the middle (Bavarian et al. 2022): a text is cut twice and its parts are put in another order, so that a
 * model of next tokens learns to write what stands between two others.
 *
 *     PSM    <prefix> prefix <suffix> suffix <middle> middle
 *     SPM    <prefix> <suffix> suffix <middle> prefix middle      (the paper's second form, as StarCoder has it)
 *
 * A share `rate` of texts becomes so, spm_rate of those SPM. The marks are tokens that the tokenizer has, by the names
 * that models know them by; Code Llama's text ends with a mark of its own besides.
 *
 * The cuts are anywhere between two characters, each as likely, and each part is tokens by itself, as it is when a
 * model is asked. Where the tokenizer does not give back a part as it stood (SentencePiece's puts a space before; a
 * piece of a longer text may begin inside a character) the cuts are between two tokens.
 *
 * A text is as long afterwards as it was: the suffix loses its last tokens for the marks and for what the cuts add, as
 * in StarCoder's training; one that has not so much suffix stays as it is. So nothing that was planned changes.
 *
 * A text is a stretch of a document without special tokens: documents joined to one row are cut by themselves. A
 * document of which something is not learnt (a prompt, what a user says) stays as it is. What becomes of a text is a
 * function of the seed and the counters given. Not here: what parts of a program are (lines, functions). */
#ifndef DATA_FIM_H
#define DATA_FIM_H

#include "data/document.h"

struct fim {
	const struct tokenizer *tokenizer;
	uint64_t seed;
	double rate, spm_rate;
	int32_t prefix, suffix, middle;
	int32_t end;                     /* −1: none */
};

/* Finds the tokenizer's marks; the numbers are the caller's. −1: it has none that are known. */
int fim_marks(struct fim *f, const struct tokenizer *t, struct err *e);
/* Document number `place` of a step as it is there: ids [in->n]. */
void fim_apply(const struct fim *f, uint64_t step, uint32_t place, const struct document *in, int32_t *ids);

#endif
