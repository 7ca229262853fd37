package org.edgewise.app.work;

import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;

/** What several artifacts say together: the most common answer, and who differs from it. */
public record Verdict(int common, int answered, Set<String> odd) {
    /** Takes the choice of each artifact by its id; -1 is no answer. Where none is most common, all differ. */
    public static Verdict of(Map<String, Integer> choices) {
        Map<Integer, Integer> votes = new LinkedHashMap<>();
        int answered = 0;
        for (int choice : choices.values()) {
            if (choice < 0) continue;
            votes.merge(choice, 1, Integer::sum);
            answered++;
        }
        int common = -1;
        int most = 0;
        boolean tied = false;
        for (Map.Entry<Integer, Integer> vote : votes.entrySet()) {
            tied = vote.getValue() == most || (tied && vote.getValue() < most);
            if (vote.getValue() > most) {
                common = vote.getKey();
                most = vote.getValue();
            }
        }
        Set<String> odd = new LinkedHashSet<>();
        for (Map.Entry<String, Integer> one : choices.entrySet()) {
            if (one.getValue() >= 0 && (tied || one.getValue() != common)) odd.add(one.getKey());
        }
        return new Verdict(common, answered, odd);
    }

    public boolean agreed() {
        return odd.isEmpty();
    }
}
