//! A small table of facts that anybody can look up, with how well known each is.

/// What is asked about a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Topic {
    /// The question, around the subject.
    pub(super) before: &'static str,
    pub(super) after: &'static str,
    /// Subject, its one right answer, and difficulty 1 to 5. No two answers are the same,
    /// so that any other row's answer is wrong.
    pub(super) facts: &'static [(&'static str, &'static str, u8)],
}

pub(super) const TOPICS: [Topic; 5] = [CAPITALS, SYMBOLS, NUMBERS, BOOKS, POLYGONS];

const CAPITALS: Topic = Topic {
    before: "What is the capital city of ",
    after: "?",
    facts: &[
        ("France", "Paris", 1),
        ("Japan", "Tokyo", 1),
        ("Italy", "Rome", 1),
        ("Egypt", "Cairo", 1),
        ("Spain", "Madrid", 1),
        ("Greece", "Athens", 2),
        ("Norway", "Oslo", 2),
        ("Canada", "Ottawa", 2),
        ("Portugal", "Lisbon", 2),
        ("Australia", "Canberra", 3),
        ("New Zealand", "Wellington", 3),
        ("Finland", "Helsinki", 3),
        ("Peru", "Lima", 3),
        ("Mongolia", "Ulaanbaatar", 4),
        ("Slovenia", "Ljubljana", 4),
        ("Uruguay", "Montevideo", 4),
        ("Latvia", "Riga", 4),
        ("Mali", "Bamako", 5),
        ("Burkina Faso", "Ouagadougou", 5),
        ("Bhutan", "Thimphu", 5),
        ("Suriname", "Paramaribo", 5),
    ],
};

const SYMBOLS: Topic = Topic {
    before: "What is the chemical symbol of the element ",
    after: "?",
    facts: &[
        ("hydrogen", "H", 1),
        ("oxygen", "O", 1),
        ("carbon", "C", 1),
        ("helium", "He", 1),
        ("iron", "Fe", 2),
        ("gold", "Au", 2),
        ("silver", "Ag", 2),
        ("sodium", "Na", 2),
        ("lead", "Pb", 3),
        ("potassium", "K", 3),
        ("tin", "Sn", 3),
        ("mercury", "Hg", 3),
        ("tungsten", "W", 4),
        ("antimony", "Sb", 4),
        ("manganese", "Mn", 4),
        ("magnesium", "Mg", 4),
        ("terbium", "Tb", 5),
        ("thulium", "Tm", 5),
        ("protactinium", "Pa", 5),
        ("praseodymium", "Pr", 5),
    ],
};

const NUMBERS: Topic = Topic {
    before: "Which chemical element has the atomic number ",
    after: "?",
    facts: &[
        ("1", "hydrogen", 1),
        ("2", "helium", 1),
        ("6", "carbon", 1),
        ("8", "oxygen", 1),
        ("7", "nitrogen", 2),
        ("10", "neon", 2),
        ("11", "sodium", 2),
        ("26", "iron", 3),
        ("29", "copper", 3),
        ("79", "gold", 3),
        ("92", "uranium", 3),
        ("47", "silver", 4),
        ("50", "tin", 4),
        ("74", "tungsten", 4),
        ("56", "barium", 5),
        ("69", "thulium", 5),
        ("72", "hafnium", 5),
        ("75", "rhenium", 5),
    ],
};

const BOOKS: Topic = Topic {
    before: "Who wrote \"",
    after: "\"?",
    facts: &[
        ("Hamlet", "William Shakespeare", 1),
        ("Oliver Twist", "Charles Dickens", 1),
        ("War and Peace", "Leo Tolstoy", 1),
        ("Don Quixote", "Miguel de Cervantes", 2),
        ("Pride and Prejudice", "Jane Austen", 2),
        ("Moby-Dick", "Herman Melville", 2),
        ("Faust", "Johann Wolfgang von Goethe", 3),
        ("Madame Bovary", "Gustave Flaubert", 3),
        ("The Divine Comedy", "Dante Alighieri", 3),
        ("Middlemarch", "George Eliot", 4),
        ("Fathers and Sons", "Ivan Turgenev", 4),
        ("Germinal", "Emile Zola", 4),
        ("Effi Briest", "Theodor Fontane", 5),
        ("Oblomov", "Ivan Goncharov", 5),
        ("The Betrothed", "Alessandro Manzoni", 5),
    ],
};

const POLYGONS: Topic = Topic {
    before: "How many sides does a ",
    after: " have?",
    facts: &[
        ("triangle", "3", 1),
        ("pentagon", "5", 1),
        ("hexagon", "6", 1),
        ("octagon", "8", 2),
        ("heptagon", "7", 2),
        ("nonagon", "9", 3),
        ("decagon", "10", 3),
        ("dodecagon", "12", 4),
        ("hendecagon", "11", 4),
        ("icosagon", "20", 5),
        ("pentadecagon", "15", 5),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_other_answer_of_a_topic_can_be_right() {
        for topic in TOPICS {
            let subjects: BTreeSet<_> = topic.facts.iter().map(|fact| fact.0).collect();
            let answers: BTreeSet<_> = topic.facts.iter().map(|fact| fact.1).collect();
            assert_eq!(subjects.len(), topic.facts.len(), "{}", topic.before);
            assert_eq!(answers.len(), topic.facts.len(), "{}", topic.before);
            for level in 1..=5 {
                assert!(topic.facts.iter().any(|fact| fact.2 == level), "{} {level}", topic.before);
            }
        }
    }
}
