import org.eclipse.edc.connector.controlplane.catalog.spi.policy.CatalogPolicyContext;
import org.eclipse.edc.connector.controlplane.contract.spi.policy.ContractNegotiationPolicyContext;
import org.eclipse.edc.participant.spi.ParticipantAgentPolicyContext;
import org.eclipse.edc.policy.engine.spi.PolicyContext;
import org.eclipse.edc.policy.engine.spi.PolicyEngine;
import org.eclipse.edc.policy.engine.spi.RuleBindingRegistry;
import org.eclipse.edc.policy.model.Permission;
import org.eclipse.edc.runtime.metamodel.annotation.Inject;
import org.eclipse.edc.spi.system.ServiceExtension;
import org.eclipse.edc.spi.system.ServiceExtensionContext;

/**
 * EDC judges only constraints that an extension has a function for, and refuses policy definitions with others. This one
 * holds `spatial` against the region that the mock identity claims, where the catalog is made and where a contract is negotiated.
 */
public class RegionPolicy implements ServiceExtension {
    private static final String SPATIAL = "http://www.w3.org/ns/odrl/2/spatial";
    private static final String USE = "http://www.w3.org/ns/odrl/2/use";

    @Inject
    private PolicyEngine engine;
    @Inject
    private RuleBindingRegistry bindings;

    @Override
    public void initialize(ServiceExtensionContext context) {
        judge(CatalogPolicyContext.class, CatalogPolicyContext.CATALOG_SCOPE);
        judge(ContractNegotiationPolicyContext.class, ContractNegotiationPolicyContext.NEGOTIATION_SCOPE);
    }

    private <C extends PolicyContext & ParticipantAgentPolicyContext> void judge(Class<C> type, String scope) {
        bindings.bind(USE, scope);
        bindings.bind(SPATIAL, scope);
        engine.registerFunction(type, Permission.class, SPATIAL, (operator, value, rule, about) ->
                value.equals(about.participantAgent().getClaims().get("region")));
    }
}
