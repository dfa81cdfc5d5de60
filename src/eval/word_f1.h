/* word_f1: how many words two answers share, 0 to 1: twice those over all of both, each as often as it stands, in any
 * order. Case, ASCII's punctuation and the articles a, an, the are nothing. Two without words are alike. SQuAD's F1
 * (Rajpurkar et al. 2016, 1606.05250, and its evaluate script). */
#ifndef EVAL_WORD_F1_H
#define EVAL_WORD_F1_H

double word_f1(const char *said, const char *right);

#endif
