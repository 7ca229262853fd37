package org.edgewise.app.work;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;

/** What several artifacts say together: the most common answer, and who differs from it. */
public record Verdict(int common, int answered, Set<String> odd) {
    /** Takes the choice of each artifact by its id; -1 is no answer. Where none is most common, all differ. */
    public static Verdict of(Map<String, Integer> choices) {
        Map<Integer, Integer> votes = new LinkedHashMap<>();
        for (int choice : choices.values()) if (choice >= 0) votes.merge(choice, 1, Integer::sum);
        int common = votes.entrySet().stream().max(Map.Entry.comparingByValue()).map(Map.Entry::getKey).orElse(-1);
        boolean tied = Collections.frequency(votes.values(), votes.get(common)) > 1;
        Set<String> odd = new LinkedHashSet<>();
        choices.forEach((id, choice) -> {
            if (choice >= 0 && (tied || choice != common)) odd.add(id);
        });
        return new Verdict(common, votes.values().stream().mapToInt(Integer::intValue).sum(), odd);
    }

    public boolean agreed() {
        return odd.isEmpty();
    }
}
